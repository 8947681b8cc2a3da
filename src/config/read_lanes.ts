// Lanes as they are written become rules: a group that names no domains has those of the provider of its name.
import { fileURLToPath } from 'node:url';
import { ExitCode } from '../base/error.ts';
import type { Pace } from '../base/quantity.ts';
import { sharedLane } from '../mail/batch.ts';
import { parsePart } from './issues.ts';
import { providersSchema, type WrittenLanes, type WrittenProviders } from './lanes_schema.ts';
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
  readonly pace: Pace;
  readonly maxConnections: number | undefined;
}

export interface LanesConfig {
  /** Only those that the user named: a lane that nobody limited would cost its batches and gain nothing. */
  readonly groups: readonly LaneConfig[];
  readonly others: 'shared' | 'domain';
}

/** `origin` is where `lanes` stands; problems are added to `problems`. */
export function completeLanes(
  { groups, others }: WrittenLanes,
  origin: Origin,
  problems: Problem[],
): LanesConfig {
  const isAnyWithout = Object.entries(groups).some(([name, { domains }]) => isProvider(name, domains));
  const providers = isAnyWithout ? readProviders(problems) : {};
  const completed = Object.entries(groups).map(([name, group]): LaneConfig => {
    const { domains, maxConnections } = group;
    const found = isProvider(name, domains) ? providers[name]?.domains : domains;
    if (isProvider(name, domains) && (found ?? []).length === 0)
      problems.push(describeUnknown(name, Object.keys(providers), origin));
    return { name, domains: found ?? [], pace: paceOf(group), maxConnections };
  });
  return { groups: completed, others };
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
