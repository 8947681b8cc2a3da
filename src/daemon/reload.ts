// Reloading: the configuration file read again, compared with what runs, and taken where it is good.
import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../base/error.ts';
import type { Config } from '../config/load_config.ts';
import type { ConfigReport } from '../control/views.ts';
import type { Daemon } from './daemon.ts';
import type { Log } from './log.ts';

/** What only a new process, or new threads, can take. */
const fixedParts = [
  'stateDir',
  'durability',
  'threads',
  'metrics',
  'control',
  'inbox',
  'events',
  'showsAddresses',
] as const satisfies readonly (keyof Config)[];

/** What is taken as it is: campaigns and limits look there when they need it. */
const liveParts = [
  'pace',
  'lanes',
  'fromDomains',
  'keepMs',
  'drainTimeoutMs',
  'logLevel',
] as const satisfies readonly (keyof Config)[];

export interface Reloader {
  check(): Promise<ConfigReport>;
  reload(): Promise<ConfigReport>;
}

export function createReloader(daemon: Daemon, log: Log, load: () => Config): Reloader {
  const compare = (): ConfigReport & { readonly config: Config | undefined } => {
    try {
      const config = load();
      return { ok: true, problems: [], ...diff(daemon.config, config), config };
    } catch (error) {
      const problems = messageOf(error).split('\n');
      return { ok: false, problems, applied: [], needsRestart: [], config: undefined };
    }
  };
  return {
    check: async () => {
      const { config: _, ...report } = compare();
      return report;
    },
    reload: async () => {
      const { config, ...compared } = compare();
      const report = config === undefined ? compared : tryTaking(daemon, log, config, compared);
      const { problems, applied } = report;
      daemon.publish({ kind: 'configReloaded', problems, applied });
      return report;
    },
  };
}

function tryTaking(daemon: Daemon, log: Log, config: Config, report: ConfigReport): ConfigReport {
  try {
    take(daemon, log, config);
    return report;
  } catch (error) {
    return { ok: false, problems: [messageOf(error)], applied: [], needsRestart: [] };
  }
}

function take(daemon: Daemon, log: Log, config: Config): void {
  daemon.replaceConfig(keepFixed(daemon.config, config));
  log.level = config.logLevel;
}

/** An engine that is opened again after trouble must find the ledger where it was. */
function keepFixed(now: Config, next: Config): Config {
  const { stateDir, durability, threads, metrics, control, inbox, events, showsAddresses } = now;
  const fixed: Pick<Config, (typeof fixedParts)[number]> = {
    stateDir,
    durability,
    threads,
    metrics,
    control,
    inbox,
    events,
    showsAddresses,
  };
  return { ...next, ...fixed };
}

function diff(now: Config, next: Config): Pick<ConfigReport, 'applied' | 'needsRestart'> {
  const applied: string[] = liveParts.filter((part) => !isDeepStrictEqual(now[part], next[part]));
  const needsRestart: string[] = fixedParts.filter((part) => !isDeepStrictEqual(now[part], next[part]));
  if (!isDeepStrictEqual(now.dkim, next.dkim)) applied.push('dkim');
  for (const name of new Set([...now.relays.keys(), ...next.relays.keys()])) {
    if (isDeepStrictEqual(now.relays.get(name), next.relays.get(name))) continue;
    applied.push(`relays.${name}`);
  }
  return { applied, needsRestart };
}
