// Measures how many messages a second the sandbox takes on one core, so that it is never what a benchmark measures.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type Sandbox, startSandbox } from '../src/sandbox/sandbox.ts';

const connectionCount = 20;
const messageBytes = 2000;
const runs = 3;
const smtpSource = '/usr/sbin/smtp-source';
/** Messages whose replies a connection may owe. More than fit into one read of the sandbox. */
const window = 64;

interface Measurement {
  readonly perSecond: number;
  readonly cpuUsPerMessage: number;
}

interface Load {
  readonly port: number;
  readonly perConnection: number;
}

if (isMainThread) await main();
else await generateLoad(parseLoad(workerData));

async function main(): Promise<void> {
  process.stdout.write(
    `messages of ${messageBytes} bytes over ${connectionCount} connections, median of ${runs}\n`,
  );
  const pipelined = await measureRuns((sandbox) => runWorker({ port: sandbox.port, perConnection: 10_000 }));
  report('pipelined DATA, a thread of this process sending', pipelined);
  if (!existsSync(smtpSource)) {
    process.stdout.write(`${smtpSource} is not there (Debian: postfix), so it sends nothing\n`);
    return;
  }
  report('smtp-source, lock-step', await measureRuns((sandbox) => runSmtpSource(sandbox.port, 50_000)));
}

async function measureRuns(run: (sandbox: Sandbox) => Promise<void>): Promise<Measurement> {
  const all: Measurement[] = [];
  for (let count = 0; count < runs; count += 1) all.push(await measure(run));
  all.sort((a, b) => a.perSecond - b.perSecond);
  const median = all[Math.floor(runs / 2)];
  if (median === undefined) throw new Error('nothing was measured');
  return median;
}

async function measure(run: (sandbox: Sandbox) => Promise<void>): Promise<Measurement> {
  const sandbox = await startSandbox();
  const startedAt = performance.now();
  const before = process.threadCpuUsage();
  await run(sandbox);
  const cpu = process.threadCpuUsage(before);
  const seconds = (performance.now() - startedAt) / 1000;
  const { accepted } = sandbox.stats();
  await sandbox.close();
  return { perSecond: accepted / seconds, cpuUsPerMessage: (cpu.user + cpu.system) / accepted };
}

function report(what: string, { perSecond, cpuUsPerMessage }: Measurement): void {
  const perCore = Math.round(1e6 / cpuUsPerMessage);
  process.stdout.write(
    `${what}: ${Math.round(perSecond)} messages/s, ${cpuUsPerMessage.toFixed(1)} µs CPU of the sandbox each (${perCore}/s a core)\n`,
  );
}

function runSmtpSource(port: number, messages: number): Promise<void> {
  const options = ['-d', '-s', connectionCount, '-m', messages, '-l', messageBytes, `127.0.0.1:${port}`];
  const child = spawn(smtpSource, options.map(String), { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`smtp-source ended with ${code}`)),
    );
  });
}

function runWorker(load: Load): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: load });
  return new Promise((resolve, reject) => {
    worker.on('error', reject);
    worker.on('exit', () => resolve());
  });
}

// ---- The thread that sends ----

function parseLoad(data: unknown): Load {
  const isLoad = typeof data === 'object' && data !== null && 'port' in data && 'perConnection' in data;
  if (!isLoad) throw new Error('the thread got no load');
  return { port: Number(data.port), perConnection: Number(data.perConnection) };
}

async function generateLoad({ port, perConnection }: Load): Promise<void> {
  const sessions = Array.from({ length: connectionCount }, () => sendPipelined(port, perConnection));
  await Promise.all(sessions);
  parentPort?.close();
}

/** Sends whole transactions in one write each, as many ahead of the replies as the window allows. */
function sendPipelined(port: number, messages: number): Promise<void> {
  const line = `${'x'.repeat(70)}\r\n`;
  const head = 'From: a@example.com\r\nTo: b@example.net\r\nSubject: measured\r\n\r\n';
  const content = (head + line.repeat(Math.ceil(messageBytes / line.length))).slice(0, messageBytes - 2);
  const one = `MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n${content}\r\n.\r\n`;
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let sent = 0;
    let lines = 0;
    socket.on('error', reject);
    socket.on('close', () => resolve());
    socket.write('EHLO load.example\r\n');
    let greetingLines = 0;
    socket.on('data', (chunk: Buffer) => {
      let at = 0;
      if (greetingLines >= 0) {
        // The greeting and the EHLO reply, whose last line is the first "250 ".
        const end = chunk.indexOf('250 ');
        greetingLines = end < 0 ? 0 : -1;
        if (end < 0) return;
        at = chunk.indexOf('\n', end) + 1;
      }
      for (at = chunk.indexOf('\n', at); at >= 0; at = chunk.indexOf('\n', at + 1)) lines += 1;
      // Four one-line replies a message.
      const room = Math.min(window - (sent - Math.floor(lines / 4)), messages - sent);
      if (lines === messages * 4) socket.end('QUIT\r\n');
      else if (room > 0 && (room >= window / 2 || room === messages - sent)) {
        socket.write(one.repeat(room), 'latin1');
        sent += room;
      }
    });
  });
}
