// The sandbox as a receiver in a process of its own, which both sides of a comparison can send to over TLS.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as z from 'zod';
import { endWithUs } from './cleanup.ts';
import type { Receiver } from './receiver.ts';

const listeningSchema = z.object({
  type: z.literal('listening'),
  host: z.string(),
  port: z.number(),
  certificate: z.string().optional(),
});
const statsSchema = z.object({
  type: z.literal('stats'),
  accepted: z.number(),
  recipients: z.number(),
  refused: z.record(z.string(), z.number()),
  violations: z.record(z.string(), z.number()),
});

/** Starts a sandbox on a free port; `folder` takes its certificate. */
export async function startSandboxProcess(folder: string, tls: 'none' | 'starttls'): Promise<Receiver> {
  const main = join(import.meta.dirname, '../src/main.ts');
  const child = spawn(process.execPath, [main, 'sandbox', '--port', '0', '--tls', tls, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithUs(child, 'SIGKILL');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { host, port, certificate } = listeningSchema.parse(await readObject(lines));
  const stop = (expectedMessages: number): Promise<void> => stopSandbox(child, lines, expectedMessages);
  if (certificate === undefined) return { host, port, stop };
  const caFile = join(folder, `sandbox-${port}.pem`);
  writeFileSync(caFile, certificate);
  return { host, port, caFile, stop };
}

/** Throws unless it took exactly so many messages, one recipient each, refused nothing and saw no rule broken. */
async function stopSandbox(child: ChildProcess, lines: Lines, expectedMessages: number): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const stats = statsSchema.parse(await readObject(lines));
  await exited;
  const { accepted, recipients, refused, violations } = stats;
  const faults = [...Object.values(refused), ...Object.values(violations)].reduce((sum, one) => sum + one, 0);
  if (accepted === expectedMessages && recipients === expectedMessages && faults === 0) return;
  throw new Error(`the sandbox took not ${expectedMessages} messages but counted ${JSON.stringify(stats)}`);
}

type Lines = AsyncIterator<string, unknown>;

async function readObject(lines: Lines): Promise<unknown> {
  const next = await lines.next();
  if (next.done === true) throw new Error('the sandbox ended without a word');
  return JSON.parse(next.value);
}
