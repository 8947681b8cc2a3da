// Lanes as they are written become rules: a group that names no domains has those of the provider of its name.
import { fileURLToPath } from 'node:url';
import { ExitCode } from '../base/error.ts';
import type { Pace } from '../base/quantity.ts';
import { sharedLane } from '../mail/batch.ts';
import { parsePart } from './issues.ts';
import { providersSchema, usualMx, type WrittenLanes, type WrittenProviders } from './lanes_schema.ts';
import { failureOf, formatPath, type Failure, type Origin, type Problem } from './problem.ts';
import { suggestWord } from './suggest.ts';
import { readTextFile } from './text_file.ts';
import { paceOf } from './value.ts';
import { parseYaml } from './yaml_file.ts';

/** Domains that share limits. */
export interface LaneConfig {
  readonly name: string;
  /** In lower case; none for the domains of no group. */
  readonly domains: readonly string[];
  /** Patterns of MX hosts, in lower case. */
  readonly mx: readonly string[];
  readonly pace: Pace;
  readonly maxConnections: number | undefined;
}

export interface LanesConfig {
  /** Only those that the user named: a lane that nobody limited would cost its batches and gain nothing. */
  readonly groups: readonly LaneConfig[];
  readonly others: 'shared' | 'domain';
  /** Undefined: no MX is looked up. */
  readonly mx: MxConfig | undefined;
}

/** How the MX of domains that no group names is looked up. */
export interface MxConfig {
  /** As `dns.Resolver.setServers` takes them; undefined: the system's. */
  readonly servers: readonly string[] | undefined;
  readonly timeoutMs: number;
  readonly maxLookUps: number;
}

/** `origin` is where `lanes` stands; problems are added to `problems`. */
export function completeLanes(written: WrittenLanes, origin: Origin, problems: Problem[]): LanesConfig {
  const { groups, others } = written;
  const isAnyWithout = Object.entries(groups).some(([name, { domains }]) => isProvider(name, domains));
  const providers = isAnyWithout ? readProviders(problems) : {};
  const mx = completeMx(written.mx);
  const completed = Object.entries(groups).map(([name, group]): LaneConfig => {
    const provider = isProvider(name, group.domains) ? providers[name] : undefined;
    const domains = group.domains ?? provider?.domains ?? [];
    const hosts = group.mx ?? provider?.mx ?? [];
    const isTaken = domains.length > 0 || (mx !== undefined && hosts.length > 0);
    if (isProvider(name, group.domains) && !isTaken)
      problems.push(
        hosts.length > 0
          ? describeSwitchedOff(name, origin)
          : describeUnknown(name, Object.keys(providers), origin),
      );
    return { name, domains, mx: hosts, pace: paceOf(group), maxConnections: group.maxConnections };
  });
  if (mx !== undefined && completed.every((group) => group.mx.length === 0))
    problems.push(describeIdle(origin));
  return { groups: completed, others, mx };
}

function completeMx(written: WrittenLanes['mx']): MxConfig | undefined {
  if (written === false) return undefined;
  const { servers, timeout, maxLookUps } = written === true ? usualMx : written;
  return { servers, timeoutMs: timeout, maxLookUps };
}

function isProvider(name: string, domains: readonly string[] | undefined): boolean {
  return domains === undefined && name !== sharedLane;
}

function describeUnknown(name: string, providers: readonly string[], origin: Origin): Problem {
  const path = ['lanes', 'groups', name];
  const what = `${formatPath(path)} names no domains, and config/lanes.yaml has none under that name`;
  const suggestion = suggestWord(name, providers);
  return { place: origin.place(path, 'key'), what, expected: 'domains', suggestion };
}

function describeSwitchedOff(name: string, origin: Origin): Problem {
  const path = ['lanes', 'groups', name];
  const what = `${formatPath(path)} has domains only by their MX, which is not looked up`;
  return { place: origin.place(path, 'key'), what, expected: 'domains, or lanes.mx: true' };
}

function describeIdle(origin: Origin): Problem {
  const what = 'lanes.mx has nothing to look for: no lane names hosts of MX records';
  const expected = 'a lane with mx, or one such as gmail that has them in config/lanes.yaml';
  return { place: origin.place(['lanes', 'mx'], 'key'), what, expected };
}

/** As far from the sources as from what is built of them. */
const shippedFile = fileURLToPath(new URL('../../config/lanes.yaml', import.meta.url));

const unreadable: Failure = {
  code: 'ERR_CONFIG_READ',
  hint: 'Install Posthaste anew, or name the domains of each lane.',
  exitCode: ExitCode.config,
};

/** The groups that ship with the program. */
export function readProviders(problems: Problem[]): WrittenProviders {
  const text = readTextFile(shippedFile, 'the groups of providers', unreadable);
  const file = parseYaml(shippedFile, text, (written) => written, problems);
  const groups = parsePart({ schema: providersSchema, origin: file, path: [] }, file.value ?? {}, problems);
  if (groups === undefined) throw failureOf(problems, unreadable);
  return groups;
}
