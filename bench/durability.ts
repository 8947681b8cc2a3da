// Measures what journal and ledger cost: the same campaign with both, and with stand-ins that keep nothing.
// Run: node bench/durability.ts [--recipients N] [--rounds N] [--short]
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeFolder } from './cleanup.ts';
import { writeMailing } from './mailing.ts';
import type { MeasuredRun } from './measured_run.ts';
import { describeMachine, median, printLine, readCount, show, showRounds, showSamples } from './report.ts';
import { connections, runSend } from './sending.ts';

const targetPercent = 15;
const nullDevice = new URL('null_device.ts', import.meta.url).href;

const { values } = parseArgs({
  options: {
    recipients: { type: 'string' },
    rounds: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
});
const recipients = readCount('recipients', values.recipients ?? (values.short ? '5000' : '50000'));
const rounds = readCount('rounds', values.rounds ?? (values.short ? '1' : '5'));

const mailing = await writeMailing(makeFolder(), recipients);
const kept: MeasuredRun[] = [];
const unkept: MeasuredRun[] = [];
// Taking turns, so that whatever else the machine does falls on both.
for (let round = 0; round < rounds; round++) {
  kept.push(await runSend(mailing, { results: false }));
  checkLedger(true);
  unkept.push(await runSend(mailing, { results: false, preload: nullDevice }));
  checkLedger(false);
}

process.stdout.write(
  `${describeMachine()}\n${show(recipients)} recipients, ${connections} connections, 1 worker thread, no results file; ` +
    `${showRounds(rounds)}; median (lowest–highest)\n`,
);
print('with journal and ledger', kept);
print('without', unkept);
const costs = kept.map((run, round) => 100 * (1 - rateOf(run) / rateOf(unkept[round] ?? run)));
const cost = 100 * (1 - median(kept.map(rateOf)) / median(unkept.map(rateOf)));
const judgement = cost <= targetPercent ? 'met' : 'MISSED';
printLine(
  'cost, %',
  `${show(cost, 1)} (${show(Math.min(...costs), 1)}–${show(Math.max(...costs), 1)} by round; target: at most ${targetPercent}, ${judgement})`,
);

/** Whether the run just now has kept a ledger, which is what is compared. */
function checkLedger(expected: boolean): void {
  if (existsSync(join(mailing.folder, 'state/ledger.db')) !== expected)
    throw new Error(`the run has ${expected ? 'no' : 'a'} ledger`);
}

function rateOf({ seconds }: MeasuredRun): number {
  return recipients / seconds;
}

function print(label: string, runs: readonly MeasuredRun[]): void {
  printLine(`${label}, messages/s`, showSamples(runs.map(rateOf)));
  printLine('  CPU µs/message', showSamples(runs.map((run) => run.cpuUs / recipients)));
}
