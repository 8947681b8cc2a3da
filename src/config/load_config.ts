// The configuration: file, environment and command line become one checked value.
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { ExitCode } from '../base/error.ts';
import type { Pace } from '../base/quantity.ts';
import { configSchema, type logLevels } from './config_schema.ts';
import { listenOn, type Endpoint } from './endpoint.ts';
import { readControl, type ControlConfig } from './read_control.ts';
import { readDkim, warnAboutKey, type DkimConfig } from './dkim.ts';
import { readFromDomains, type FromDomainConfig } from './from_domains.ts';
import { parsePart, parseRest } from './issues.ts';
import { stateDirectory } from './places.ts';
import { failureOf, formatPath, type Failure, type Origin, type Problem } from './problem.ts';
import { completeLanes, type LanesConfig } from './read_lanes.ts';
import { completeRelay, warnAbout, type RelayConfig } from './relay.ts';
import { relayName, relaySchema } from './relay_schema.ts';
import { parseRelayUrl } from './relay_url.ts';
import { interpolate, type Surroundings } from './secret.ts';
import { readTextFile } from './text_file.ts';
import { paceOf } from './value.ts';
import { parseYaml, type YamlFile } from './yaml_file.ts';

/** What runs need to know; holds secrets, never to be logged. */
export interface Config {
  /** Absolute path of the ledger's directory. */
  readonly stateDir: string;
  readonly durability: 'process' | 'power';
  readonly threads: number;
  /** How long the rows of finished campaigns are kept; undefined: forever. */
  readonly keepMs: number | undefined;
  /** How long a first signal to stop waits for what is in flight. */
  readonly drainTimeoutMs: number;
  readonly metrics: Endpoint | undefined;
  readonly logLevel: (typeof logLevels)[number];
  /** Whether log and event log show recipients' addresses. */
  readonly showsAddresses: boolean;
  readonly control: ControlConfig;
  /** Absolute path, and how long an entry must have stayed as it is. */
  readonly inbox: { readonly directory: string; readonly settleMs: number } | undefined;
  /** `directory` is an absolute path. */
  readonly events: {
    readonly directory: string;
    readonly mostBytes: number;
    readonly keptFiles: number;
    readonly recipients: boolean;
  };
  /** By name, in the order of the file. */
  readonly relays: ReadonlyMap<string, RelayConfig>;
  /** The relay of the command line: takes the place of any that a campaign names. */
  readonly relayOverride: RelayConfig | undefined;
  readonly dkim: readonly DkimConfig[];
  /** Of all that is sent. */
  readonly pace: Pace;
  /** Undefined: all recipients are of one lane. */
  readonly lanes: LanesConfig | undefined;
  readonly fromDomains: readonly FromDomainConfig[];
  /** Sentences to be shown at every start. */
  readonly warnings: readonly string[];
}

/** Options of the command line, as typed; they win over the file. */
export interface ConfigOverrides {
  readonly state?: string | undefined;
  /** A relay URL. */
  readonly relay?: string | undefined;
  /** As `metrics.listen`. */
  readonly metrics?: string | undefined;
}

/**
 * Loads the configuration; without a path the defaults, which have no relay. Throws ERR_CONFIG_READ,
 * ERR_CONFIG_INVALID (with every problem, one a line) or ERR_RELAY_URL, all with exit code 78.
 */
export function loadConfig(
  path: string | undefined,
  env: NodeJS.ProcessEnv,
  overrides: ConfigOverrides = {},
): Config {
  const relayOverride = overrides.relay === undefined ? undefined : parseRelayUrl(overrides.relay);
  const problems: Problem[] = [];
  const listen = overrides.metrics === undefined ? undefined : parseListen(overrides.metrics, problems);
  const file = path === undefined ? undefined : readConfigFile(path, env, problems);
  if (file?.isSound === false) throw failureOf(problems, invalid);
  const written = parsePart(
    { schema: configSchema, origin: file ?? nowhere, path: [] },
    file?.value ?? {},
    problems,
  );
  const directory = resolve(dirname(path ?? '.'));
  const around = { directory, env };
  const relays = file === undefined ? new Map<string, RelayConfig>() : completeRelays(file, around, problems);
  const dkim = file === undefined ? [] : readDkim(file, partAt(file.value, 'dkim'), around, problems);
  const lanes =
    written?.lanes === undefined ? undefined : completeLanes(written.lanes, file ?? nowhere, problems);
  const stateDir = stateDirectory(overrides.state, written?.state, directory, env);
  const control =
    written === undefined
      ? undefined
      : readControl(written.control, { ...around, stateDir, origin: file ?? nowhere, problems });
  if (written === undefined || control === undefined || problems.length > 0)
    throw failureOf(problems, invalid);
  const used = relayOverride === undefined ? [...relays.values()] : [relayOverride];
  return {
    stateDir,
    control,
    durability: written.durability,
    threads: written.threads === 'auto' ? Math.max(1, availableParallelism() - 1) : written.threads,
    keepMs: written.keep,
    drainTimeoutMs: written.drainTimeout,
    metrics: listen ?? written.metrics?.listen,
    logLevel: written.log.level,
    showsAddresses: written.log.addresses === 'shown',
    inbox:
      written.inbox === undefined
        ? undefined
        : { directory: resolve(directory, written.inbox.directory), settleMs: written.inbox.settle },
    events: {
      directory: resolve(
        directory,
        written.events.directory ?? placeIn(env['LOGS_DIRECTORY'], stateDir, 'events'),
      ),
      mostBytes: written.events.maxSize,
      keptFiles: written.events.keepFiles,
      recipients: written.events.recipients,
    },
    relays,
    relayOverride,
    dkim,
    pace: paceOf(written),
    lanes,
    fromDomains: readFromDomains(written.fromDomains),
    warnings: [...used.flatMap(warnAbout), ...dkim.flatMap(warnAboutKey)],
  };
}

const invalid: Failure = {
  code: 'ERR_CONFIG_INVALID',
  hint: 'Correct the configuration file; docs/reference.md lists its keys, config/ has an example and a JSON Schema.',
  exitCode: ExitCode.config,
};

const unreadable: Failure = {
  code: 'ERR_CONFIG_READ',
  hint: 'Name an existing file with --config.',
  exitCode: ExitCode.config,
};

const nowhere: Origin = { value: {}, place: () => ({ file: 'configuration' }), nameOf: String };

function readConfigFile(path: string, env: NodeJS.ProcessEnv, problems: Problem[]): YamlFile {
  const text = readTextFile(path, 'the configuration', unreadable);
  return parseYaml(
    path,
    text,
    (written, place, keys) => {
      const found = interpolate(written, env);
      if (found.kind === 'found') return found.text;
      problems.push({ place, what: `${formatPath(keys)} ${found.what}`, isCause: true });
      return written;
    },
    problems,
  );
}

/** Relays are completed one by one, so that one with a wrong key does not hide what is wrong with the next. */
function completeRelays(file: YamlFile, around: Surroundings, problems: Problem[]): Map<string, RelayConfig> {
  const relays = new Map<string, RelayConfig>();
  for (const [name, value] of Object.entries(mapAt(file.value, 'relays'))) {
    const written = parseRest(relaySchema, value, { host: 'localhost' });
    if (written === undefined || !relayName().safeParse(name).success) continue;
    const site = { name, written, origin: file, path: ['relays', name], around, problems };
    const relay = completeRelay(site);
    if (relay !== undefined) relays.set(name, relay);
  }
  return relays;
}

function mapAt(value: unknown, name: string): object {
  const found = partAt(value, name);
  return isMap(found) ? found : {};
}

function partAt(value: unknown, name: string): unknown {
  return isMap(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseListen(typed: string, problems: Problem[]): Endpoint | undefined {
  const origin: Origin = {
    value: typed,
    place: () => ({ file: 'command line' }),
    nameOf: () => 'the address for metrics',
  };
  return parsePart({ schema: listenOn(), origin, path: [] }, typed, problems);
}

/** In the directory that systemd has made for it, else in the state directory. */
function placeIn(directories: string | undefined, stateDir: string, name: string): string {
  // Several are separated by colons.
  const [own = ''] = (directories ?? '').split(':');
  return join(own === '' ? stateDir : own, name);
}
