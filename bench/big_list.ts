// Measures a campaign of ten million rows: the peak memory of its intake, and how soon it sends again after kill -9.
// Run: node bench/big_list.ts [--recipients N] [--pending N] [--short]
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openLedger } from '../src/ledger/open_ledger.ts';
import type { Settlement, StoredBatch } from '../src/ledger/ledger.ts';
import { unpackRecipients } from '../src/mail/batch.ts';
import { startSandbox, type Sandbox } from '../src/sandbox/sandbox.ts';
import { buildProgram } from './build.ts';
import { endWithUs, makeFolder } from './cleanup.ts';
import { writeMailing, type Mailing } from './mailing.ts';
import { describeMachine, printLine, readCount, show } from './report.ts';

const targetMib = 350;
const targetSeconds = 3;
const batchesPerSettle = 40;

const { values } = parseArgs({
  options: {
    recipients: { type: 'string' },
    pending: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
});
const recipients = readCount('recipients', values.recipients ?? (values.short ? '100000' : '10000000'));
const pending = readCount('pending', values.pending ?? String(recipients / 10));

const folder = makeFolder();
const state = join(folder, 'state');
const mailing = await writeMailing(folder, recipients);
const config = join(folder, 'config.yaml');
writeFileSync(config, 'threads: 1\nlog: { level: debug }\n');
const sandbox = await startSandbox();
const intake = await takeInAndKill(mailing, sandbox);
const left = await settleAllBut(pending);
const again = await startAgain(mailing, sandbox);
await sandbox.close();

process.stdout.write(`${describeMachine()}\n${show(recipients)} rows, 1 worker thread\n`);
printLine('intake, rows/s', show(recipients / intake.seconds));
printLine('peak while taken in, MiB', judge(intake.peakMib, targetMib));
printLine('pending at the second start', show(left));
printLine('first message after, s', judge(again.seconds, targetSeconds, 2));
printLine('peak until then, MiB', show(again.peakMib));

function judge(figure: number, target: number, digits = 0): string {
  return `${show(figure, digits)} (target: at most ${target}, ${figure <= target ? 'met' : 'MISSED'})`;
}

/** Sends slowly while the whole list is taken in, and is killed as soon as it is. */
async function takeInAndKill(
  mailing: Mailing,
  sandbox: Sandbox,
): Promise<{ seconds: number; peakMib: number }> {
  const startedAt = performance.now();
  const child = startSend(mailing, sandbox, '&rate=500/s');
  for await (const line of createInterface({ input: child.stderr })) {
    if (line.includes('"intakeProgressed"') && line.includes(`"rows":${recipients},`)) break;
  }
  const seconds = (performance.now() - startedAt) / 1000;
  // Its completion is a commit of its own, behind the last part.
  await delay(1000);
  const peakMib = peakOf(child);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return { seconds, peakMib };
}

/** Settles batches as accepted, first those that the kill left to the journals, until about so many recipients are left. */
async function settleAllBut(count: number): Promise<number> {
  const ledger = await openLedger({ directory: state });
  try {
    const [record] = await ledger.listCampaigns();
    if (record?.intake !== 'complete') throw new Error('the list was not stored to its end');
    for (;;) {
      const { recipients: waiting } = await ledger.pending(record.id);
      if (waiting <= count) return waiting;
      const claimed = await ledger.claimDue(record.id, Date.now(), batchesPerSettle);
      await ledger.settle(claimed.map(acceptAll));
    }
  } finally {
    await ledger.close();
  }
}

function acceptAll({ id, campaignId, payload }: StoredBatch): Settlement {
  const deliveries = unpackRecipients(payload).map(({ row }) => ({
    row,
    fate: 'accepted' as const,
    finishedAt: Date.now(),
    attempts: 1,
    relay: '127.0.0.1',
    replyCode: 250,
    enhancedStatus: '2.0.0',
    reply: '250 2.0.0 Ok',
    classification: '',
  }));
  return { campaignId, batchId: id, deliveries, deferrals: [], successors: [] };
}

/** The same command again, until the relay has taken a message more. */
async function startAgain(mailing: Mailing, sandbox: Sandbox): Promise<{ seconds: number; peakMib: number }> {
  const before = sandbox.stats().taken;
  const startedAt = performance.now();
  const child = startSend(mailing, sandbox, '');
  child.stderr.resume();
  while (sandbox.stats().taken === before) {
    if (child.exitCode !== null) throw new Error(`the second start ended with ${child.exitCode}`);
    await delay(1);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const peakMib = peakOf(child);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return { seconds, peakMib };
}

function startSend({ campaign, list }: Mailing, { port }: Sandbox, parameters: string) {
  const relay = `smtp://127.0.0.1:${port}?maxConnections=20&maxMessages=1000000${parameters}`;
  const args = ['send', campaign, list, '--config', config, '--state', state, '--relay', relay];
  const child = spawn(process.execPath, [buildProgram(), ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  endWithUs(child, 'SIGKILL');
  return child;
}

/** The most memory that was resident so far: proc(5). */
function peakOf({ pid }: ChildProcess): number {
  const kib = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}
