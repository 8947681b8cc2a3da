// A relay and where it was written: what the readers of its keys share.
import type { Origin, Path, Problem } from './problem.ts';
import type { WrittenRelay } from './relay_schema.ts';
import { readSecret, type SecretPlace, type Surroundings } from './secret.ts';

export interface RelaySite {
  readonly name: string;
  readonly written: WrittenRelay;
  readonly origin: Origin;
  readonly path: Path;
  readonly around: Surroundings;
  readonly problems: Problem[];
}

/** `what` is a predicate; the key's path is its subject. */
export function push(
  site: RelaySite,
  path: Path,
  problem: { what: string; expected?: string | undefined },
): void {
  const full = [...site.path, ...path];
  site.problems.push({
    place: site.origin.place(full, 'value'),
    what: `${site.origin.nameOf(full)} ${problem.what}`,
    expected: problem.expected,
  });
}

/** A secret of one line, or undefined, with a problem where it was written and cannot be had. */
export function readOneSecret(
  site: RelaySite,
  path: Path,
  written: SecretPlace | undefined,
): string | undefined {
  if (written === undefined) return undefined;
  const found = readSecret(written, site.around);
  if (found.kind === 'found') return found.text;
  push(site, path, found);
  return undefined;
}
