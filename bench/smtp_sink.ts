// The receiving end: Postfix's smtp-sink, which takes messages as fast as C can, and smtp-source for scale.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readSync, fstatSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { endWithUs } from './cleanup.ts';
import { findFreePort, waitUntilListening, type Receiver } from './receiver.ts';

const sinkProgram = '/usr/sbin/smtp-sink';
const sourceProgram = '/usr/sbin/smtp-source';
/** How long the last message may take to show in the counters. */
const countedWithinMs = 2000;

/** Starts an smtp-sink of its own on a free port; `folder` takes its counters. */
export async function startSmtpSink(folder: string): Promise<Receiver> {
  if (!existsSync(sinkProgram))
    throw new Error(`${sinkProgram} is not there; install Postfix (Debian: postfix)`);
  const host = '127.0.0.1';
  const port = await findFreePort(host);
  // Counters into a file and not a pipe: nobody has to wake up for each message.
  const counters = openSync(join(folder, `smtp-sink-${port}`), 'w+');
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn(sinkProgram, ['-c', ...user, `${host}:${port}`, '1000'], {
    stdio: ['ignore', counters, 'inherit'],
  });
  endWithUs(child, 'SIGKILL');
  await waitUntilListening(child, { host, port }, () => `smtp-sink does not listen on port ${port}`);
  return { host, port, stop: (expectedMessages) => stopSink(child, counters, expectedMessages) };
}

async function stopSink(child: ChildProcess, counters: number, expectedMessages: number): Promise<void> {
  const until = performance.now() + countedWithinMs;
  while (readMessages(counters) !== expectedMessages && performance.now() < until) await delay(20);
  const messages = readMessages(counters);
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
  closeSync(counters);
  if (messages !== expectedMessages)
    throw new Error(`the sink took ${messages} messages, not ${expectedMessages}`);
}

/** The last of the running counters, "sess=20 quit=20 mesg=50000", which end with CR each. */
function readMessages(counters: number): number {
  const { size } = fstatSync(counters);
  const tail = Buffer.alloc(Math.min(size, 200));
  readSync(counters, tail, 0, tail.length, size - tail.length);
  const last = tail.toString('latin1').split('\r').at(-2) ?? '';
  return Number(/mesg=(\d+)$/.exec(last)?.[1] ?? 0);
}

/** Sends with smtp-source, lock-step and without rendering. Returns the seconds from its start to its exit. */
export async function runSmtpSource(
  sink: Receiver,
  connections: number,
  messages: number,
  messageBytes: number,
): Promise<number> {
  const options = ['-d', '-s', connections, '-m', messages, '-l', messageBytes, `${sink.host}:${sink.port}`];
  const startedAt = performance.now();
  const child = spawn(sourceProgram, options.map(String), { stdio: 'inherit' });
  endWithUs(child, 'SIGKILL');
  const [code]: unknown[] = await once(child, 'exit');
  if (code !== 0) throw new Error(`smtp-source ended with ${String(code)}`);
  return (performance.now() - startedAt) / 1000;
}

/** "3.7.11", or "unknown version". */
export function postfixVersion(): string {
  try {
    return execFileSync('/usr/sbin/postconf', ['-h', 'mail_version'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown version';
  }
}
