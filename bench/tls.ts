// Measures a whole campaign over STARTTLS: messages a second to the sandbox, ours beside nodemailer's pool.
// Run: node bench/tls.ts [--recipients N] [--rounds N] [--short]
import { parseArgs } from 'node:util';
import { makeFolder } from './cleanup.ts';
import { writeMailing, type Mailing } from './mailing.ts';
import type { MeasuredRun } from './measured_run.ts';
import {
  describeLoad,
  describeMachine,
  median,
  printLine,
  readCount,
  show,
  showRounds,
  showSamples,
  versionOf,
} from './report.ts';
import { startSandboxProcess } from './sandbox_process.ts';
import { connections, runNodemailer, runSend, type Way } from './sending.ts';

const target = 5;
/** Enough for a rate: at its pace the rest would only take longer. */
const mostForNodemailer = 10_000;

const { values } = parseArgs({
  options: {
    recipients: { type: 'string' },
    rounds: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
});
const recipients = readCount('recipients', values.recipients ?? (values.short ? '3000' : '50000'));
const rounds = readCount('rounds', values.rounds ?? (values.short ? '1' : '3'));

const way: Way = { open: (folder) => startSandboxProcess(folder, 'starttls') };
const folder = makeFolder();
const ours = await writeMailing(folder, recipients);
const theirs = await writeMailing(folder, Math.min(recipients, mostForNodemailer));
const ourRuns: MeasuredRun[] = [];
const theirRuns: MeasuredRun[] = [];
// Taking turns, so that whatever else the machine does falls on both.
for (let round = 0; round < rounds; round++) {
  ourRuns.push(await runSend(ours, way));
  theirRuns.push(await runNodemailer(theirs, way));
}

process.stdout.write(
  `${describeMachine()}, nodemailer ${versionOf('nodemailer')}, OpenSSL ${process.versions.openssl}, ${describeLoad()}\n`,
);
process.stdout.write(
  `messages of ${ours.messageBytes} bytes, text and HTML, 5 merge fields, over STARTTLS to the sandbox; ${connections} ` +
    `connections; 1 worker thread; ${showRounds(rounds)}; posthaste ${show(recipients)} recipients, nodemailer ` +
    `${show(theirs.recipients)}; median (lowest–highest)\n`,
);
printRuns('posthaste', ours, ourRuns);
printRuns('nodemailer pool', theirs, theirRuns);
printRatio(
  ourRuns.map((run) => rateOf(ours, run)),
  theirRuns.map((run) => rateOf(theirs, run)),
);

/** Of the whole process, with loading, the list, the ledger and the results. */
function rateOf(mailing: Mailing, run: MeasuredRun): number {
  return mailing.recipients / run.seconds;
}

function printRuns(name: string, mailing: Mailing, runs: readonly MeasuredRun[]): void {
  printLine(`${name}, messages/s`, showSamples(runs.map((run) => rateOf(mailing, run))));
  printLine('  by its own summary', showSamples(runs.map((run) => run.summary.perSecond)));
  printLine(`${name}, CPU µs/message`, showSamples(runs.map((run) => run.cpuUs / mailing.recipients)));
}

/** Of the medians; the spread is that of the rounds, each of which is a pair. */
function printRatio(mine: readonly number[], other: readonly number[]): void {
  const pairs = mine.map((rate, round) => rate / (other[round] ?? Number.NaN));
  const ratio = median(mine) / median(other);
  const spread = `${show(Math.min(...pairs), 1)}–${show(Math.max(...pairs), 1)} by round`;
  const judgement = values.short ? 'too short to judge' : ratio >= target ? 'met' : 'MISSED';
  printLine(
    'posthaste : nodemailer',
    `${show(ratio, 1)} (${spread}; target: at least ${target}, ${judgement})`,
  );
}
