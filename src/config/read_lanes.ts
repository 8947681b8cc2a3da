// Lanes as they are written become rules: the shipped groups of providers, and the user's own.
import { fileURLToPath } from 'node:url';
import { ExitCode } from '../base/error.ts';
import type { Rate } from '../base/quantity.ts';
import { parsePart } from './issues.ts';
import { lanesSchema, laneGroupsSchema, type WrittenLaneGroup, type WrittenLanes } from './lanes_schema.ts';
import { failureOf, type Failure, type Origin, type Problem } from './problem.ts';
import { readTextFile } from './text_file.ts';
import { parseYaml } from './yaml_file.ts';

/** Domains that share limits, as a group of config/lanes.yaml or of the configuration. */
export interface LaneGroupConfig {
  readonly name: string;
  readonly domains: readonly string[];
  readonly mx: readonly string[];
  readonly limits: {
    readonly rates: readonly Rate[];
    readonly bytesPerSecond: number | undefined;
    readonly maxConnections: number | undefined;
    readonly newConnections: Rate | undefined;
  };
}

export interface LanesConfig {
  /** The user's own first: they win where a provider's group has the same domain. */
  readonly groups: readonly LaneGroupConfig[];
  readonly others: 'shared' | 'domain';
  readonly looksUpMx: boolean;
}

/** `origin` and `path` say where `value` stands; problems are added to `problems`. */
export function readLanes(
  value: unknown,
  origin: Origin,
  path: readonly string[],
  problems: Problem[],
): LanesConfig | undefined {
  const written = parsePart({ schema: lanesSchema, origin, path: [...path] }, value, problems);
  return written === undefined ? undefined : completeLanes(written, problems);
}

function completeLanes({ groups, others, providers, mx }: WrittenLanes, problems: Problem[]): LanesConfig {
  const own = Object.entries(groups);
  const shipped = providers ? Object.entries(readProviders(problems)) : [];
  const added = shipped.filter(([name]) => !Object.hasOwn(groups, name));
  return { groups: [...own, ...added].map(completeGroup), others, looksUpMx: mx };
}

/** As far from the sources as from what is built of them. */
const shippedFile = fileURLToPath(new URL('../../config/lanes.yaml', import.meta.url));

const unreadable: Failure = {
  code: 'ERR_CONFIG_READ',
  hint: 'Install Posthaste anew, or set lanes.providers: false.',
  exitCode: ExitCode.config,
};

/** The groups that ship with the program. */
function readProviders(problems: Problem[]): Readonly<Record<string, WrittenLaneGroup>> {
  const text = readTextFile(shippedFile, 'the groups of providers', unreadable);
  const file = parseYaml(shippedFile, text, (written) => written, problems);
  const groups = parsePart({ schema: laneGroupsSchema, origin: file, path: [] }, file.value ?? {}, problems);
  if (groups === undefined) throw failureOf(problems, unreadable);
  return groups;
}

function completeGroup([name, group]: readonly [string, WrittenLaneGroup]): LaneGroupConfig {
  const { domains, mx, rate, bytesPerSecond, maxConnections, newConnections } = group;
  const rates = rate === undefined ? [] : Array.isArray(rate) ? rate : [rate];
  return { name, domains, mx, limits: { rates, bytesPerSecond, maxConnections, newConnections } };
}
