// What tests about the lists of a campaign share: a relay, the command, and what its summary says of rows.
import type { TestContext } from 'node:test';
import type { SandboxOptions } from '../../src/sandbox/options.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { summaryIn, type Ended } from './posthaste.ts';

/** A relay that ends with the test. */
export async function openRelay(context: TestContext, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await startSandbox({ keep: 'envelopes', ...options });
  context.after(() => sandbox.close());
  return sandbox;
}

/** `send` with this list, through the relay. */
export function sendArgs({ port }: Sandbox, list = 'list.csv'): string[] {
  const url = `smtp://127.0.0.1:${port}?maxConnections=5`;
  return ['send', 'campaign.yaml', list, '--state', 'state', '--json', '--relay', url];
}

/** Everybody whose message the relay has taken, in order. */
export function takenBy(sandbox: Sandbox): string[] {
  return sandbox.messages().flatMap(({ recipients }) => recipients);
}

/** What a summary says of rows, as one line of numbers. */
export function rowsIn(ended: Ended): Record<string, unknown> {
  const { end, rows, known, accepted, invalid, duplicate, deferred } = summaryIn(ended);
  return { end, rows, known, accepted, invalid, duplicate, deferred };
}

/** Of a campaign whose rows are all accepted, or refused as said. */
export function allSent(rows: number, more: Record<string, unknown> = {}): Record<string, unknown> {
  const counts = { known: undefined, accepted: rows, invalid: 0, duplicate: 0, deferred: 0 };
  return { end: 'finished', rows, ...counts, ...more };
}
