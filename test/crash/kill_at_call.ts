// Kills one run after the other at chosen system calls.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Mailing } from './mailing.ts';
import { killedAt, strace } from './strace.ts';

/** npm run sweep:crash: many more places of the same kinds. */
export const isLong = process.env['POSTHASTE_CRASH_LONG'] === '1';

export interface Killing {
  readonly calls: string;
  /** Within the state directory; all where absent. */
  readonly files?: readonly string[];
  /** The n-th such call of a thread, for each run. */
  readonly at: readonly number[];
}

/** Kills a run at each of the given calls, then lets one come to its end. Returns the calls that were never made. */
export async function killAt(
  context: TestContext,
  mailing: Mailing,
  { calls, files = [], at }: Killing,
  afterEach: () => void = () => {},
): Promise<string[]> {
  const struck: string[] = [];
  for (const count of at) {
    const call = await killOnce(mailing, { calls, files, at: count });
    if (call === undefined) break;
    struck.push(call);
    afterEach();
  }
  mailing.assertTruthful(await mailing.run());
  const twice = mailing.sentTwice().length;
  context.diagnostic(
    `${struck.length} kills, ${mailing.reported.size} named in doubt, ${twice} sent twice, 0 lost`,
  );
  return struck;
}

/** One run, killed at the `at`-th of these calls. Returns the call, or undefined where the run came to its end before. */
export async function killOnce(
  mailing: Mailing,
  { calls, files = [], at }: Omit<Killing, 'at'> & { readonly at: number },
): Promise<string | undefined> {
  const trace = join(mailing.folder.path, 'trace');
  const paths = files.map((name) => join(mailing.state, name));
  const ended = await mailing.run({
    under: strace({ calls, paths, when: String(at), what: 'signal=SIGKILL' }, trace),
  });
  if (ended.signal === null) return undefined;
  assert.equal(ended.signal, 'SIGKILL');
  return killedAt(trace);
}

/** From `from` up to `to`: `count` places in CI, ten times as many in the long form. */
export function spread(from: number, to: number, count: number): number[] {
  const all = Math.min(isLong ? count * 10 : count, to - from);
  return Array.from({ length: all }, (_, index) => from + Math.floor((index * (to - from)) / all));
}
