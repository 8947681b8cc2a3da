// Kills a sender again and again and starts it anew: who is lost, who gets it twice, ours beside the nodemailer script.
// Run: node bench/kill_sweep.ts [--recipients N] [--kills N] [--short]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startSandbox, type Sandbox } from '../src/sandbox/sandbox.ts';
import { seededRandom } from '../src/base/random.ts';
import { buildProgram } from './build.ts';
import { endWithUs, makeFolder } from './cleanup.ts';
import { writeMailing, type Mailing } from './mailing.ts';
import { describeMachine, readCount, show } from './report.ts';
import { connections } from './sending.ts';

const { values } = parseArgs({
  options: {
    recipients: { type: 'string' },
    kills: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
});
const recipients = readCount('recipients', values.recipients ?? (values.short ? '2000' : '50000'));
const kills = readCount('kills', values.kills ?? (values.short ? '3' : '20'));

/** What a sweep did to the recipients. */
interface Swept {
  /** Never taken by the relay, though the last run ended well. */
  readonly lost: number;
  /** Taken more than once. */
  readonly twice: number;
  /** Taken more than once, and not named as in doubt beforehand. */
  readonly unnamed: number;
  /** The most that one recipient got. */
  readonly most: number;
  readonly starts: number;
}

const folder = makeFolder();
const mailing = await writeMailing(folder, recipients);
// Whoever is in doubt is sent to again soon, so that the sweep has an end.
appendFileSync(mailing.campaign, 'retry: { first: 1s }\n');
const ours = await sweep((port) => sendArgs(mailing, port));
const theirs = await sweep((port) => nodemailerArgs(mailing, port));
print('posthaste, the same command again', ours);
print('nodemailer script, from the top again', theirs);
if (ours.lost + ours.unnamed > 0) process.exitCode = 1;

function sendArgs({ campaign, list }: Mailing, port: number): string[] {
  const relay = `smtp://127.0.0.1:${port}?maxConnections=${connections}`;
  return [buildProgram(), 'send', campaign, list, '--state', join(folder, 'state'), '--relay', relay];
}

function nodemailerArgs({ list, text: textPath, html }: Mailing, port: number): string[] {
  const script = join(import.meta.dirname, 'nodemailer_pool.ts');
  return [script, list, textPath, html, '127.0.0.1', String(port), '--connections', String(connections)];
}

/** Kills at random moments of a whole run's length, then lets the last start come to its end. */
async function sweep(argsFor: (port: number) => readonly string[]): Promise<Swept> {
  const sandbox = await startSandbox({ keep: 'envelopes' });
  const random = seededRandom(1);
  const named = new Set<string>();
  let starts = 0;
  try {
    for (; starts < kills; starts += 1) {
      const within = takenBy(sandbox) + 1 + Math.floor((random() * recipients) / kills);
      await start(argsFor(sandbox.port), sandbox, within, named);
    }
    await start(argsFor(sandbox.port), sandbox, Number.POSITIVE_INFINITY, named);
    return { ...countTaken(sandbox, named), starts: starts + 1 };
  } finally {
    await sandbox.close();
  }
}

/** Runs the sender until the relay has taken so many messages in all, or to its end. */
async function start(
  args: readonly string[],
  sandbox: Sandbox,
  within: number,
  named: Set<string>,
): Promise<void> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  endWithUs(child, 'SIGKILL');
  const said = text(child.stderr);
  const exited = once(child, 'exit');
  while (takenBy(sandbox) < within && child.exitCode === null) await delay(1);
  child.kill('SIGKILL');
  await exited;
  const log = await said;
  if (within === Number.POSITIVE_INFINITY && child.exitCode !== 0)
    throw new Error(`the last run ended with ${child.exitCode}:\n${log}`);
  for (const [, address] of log.matchAll(/"row":\d+,"address":"([^"]+)"/g)) named.add(address ?? '');
}

function takenBy(sandbox: Sandbox): number {
  return sandbox.stats().taken;
}

function countTaken(sandbox: Sandbox, named: ReadonlySet<string>): Omit<Swept, 'starts'> {
  const times = new Map<string, number>();
  for (const { recipients: to } of sandbox.messages())
    for (const address of to) times.set(address, (times.get(address) ?? 0) + 1);
  const repeated = [...times].filter(([, count]) => count > 1);
  return {
    lost: recipients - times.size,
    twice: repeated.length,
    unnamed: repeated.filter(([address]) => !named.has(address)).length,
    most: Math.max(...times.values()),
  };
}

function print(label: string, { lost, twice, unnamed, most, starts }: Swept): void {
  if (label.startsWith('posthaste'))
    process.stdout.write(
      `${describeMachine()}\n${show(recipients)} recipients, killed with SIGKILL ${kills} times\n`,
    );
  process.stdout.write(
    `${label}: ${starts} starts, ${show(lost)} lost, ${show(twice)} got it twice or more (at most ${most} times), ` +
      `${show(unnamed)} of them not named as in doubt\n`,
  );
}
