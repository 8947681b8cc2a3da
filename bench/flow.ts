// Measures a whole campaign: messages a second from process start to exit, ours beside nodemailer's pool.
// Run: node bench/flow.ts [--recipients N] [--rounds N] [--newsletter] [--short]
import { parseArgs } from 'node:util';
import { makeFolder } from './cleanup.ts';
import { writeMailing, type Mailing } from './mailing.ts';
import type { MeasuredRun } from './measured_run.ts';
import {
  describeMachine,
  median,
  printLine,
  readCount,
  show,
  showRounds,
  showSamples,
  versionOf,
} from './report.ts';
import { connections, runNodemailer, runSend } from './sending.ts';
import { postfixVersion, runSmtpSource, startSmtpSink } from './smtp_sink.ts';

/** Enough for a rate: at its pace the rest would only take longer. */
const mostForNodemailer = 10_000;

const { values } = parseArgs({
  options: {
    recipients: { type: 'string' },
    rounds: { type: 'string' },
    newsletter: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
  },
});
const kind = values.newsletter ? 'newsletter' : 'letter';
const recipients = readCount('recipients', values.recipients ?? (values.short ? '5000' : '50000'));
const rounds = readCount('rounds', values.rounds ?? (values.short ? '1' : '3'));

/** The runs of one sender with one mailing. */
interface Series {
  readonly mailing: Mailing;
  readonly runs: MeasuredRun[];
}

const folder = makeFolder();
const ours: Series = { mailing: await writeMailing(folder, recipients, kind), runs: [] };
const theirs: Series = {
  mailing:
    recipients > mostForNodemailer ? await writeMailing(folder, mostForNodemailer, kind) : ours.mailing,
  runs: [],
};
const startOnly: Series = { mailing: await writeMailing(folder, 1, kind), runs: [] };
const sourcePerSecond: number[] = [];
// Taking turns, so that whatever else the machine does falls on all of them.
for (let round = 0; round < rounds; round++) {
  ours.runs.push(await runSend(ours.mailing));
  theirs.runs.push(await runNodemailer(theirs.mailing));
  startOnly.runs.push(await runSend(startOnly.mailing));
  sourcePerSecond.push(await measureSmtpSource());
}
printReport();

async function measureSmtpSource(): Promise<number> {
  const sink = await startSmtpSink(folder);
  const seconds = await runSmtpSource(sink, connections, recipients, ours.mailing.messageBytes);
  await sink.stop(recipients);
  return recipients / seconds;
}

function printReport(): void {
  const versions = `nodemailer ${versionOf('nodemailer')}, Postfix ${postfixVersion()} (smtp-sink)`;
  process.stdout.write(`${describeMachine()}, ${versions}\n`);
  process.stdout.write(
    `messages of ${ours.mailing.messageBytes} bytes, text and HTML, 5 merge fields; ${connections} connections; ` +
      `1 worker thread; ${showRounds(rounds)}; posthaste ${show(ours.mailing.recipients)} recipients, ` +
      `nodemailer ${show(theirs.mailing.recipients)}; median (lowest–highest)\n`,
  );
  printRuns('posthaste, messages/s', ours, perSecond);
  printRuns('  by its own summary', ours, (_, run) => run.summary.perSecond);
  printRuns('nodemailer pool, messages/s', theirs, perSecond);
  printRuns('  by its own summary', theirs, (_, run) => run.summary.perSecond);
  printLine('smtp-source, messages/s', showSamples(sourcePerSecond));
  printRuns('posthaste, CPU µs/message', ours, cpuUs);
  printRuns('nodemailer pool, CPU µs/message', theirs, cpuUs);
  printRuns('posthaste, 1 recipient, s', startOnly, (_, run) => run.seconds, 2);
  printRuns('  its CPU, s', startOnly, (_, run) => run.cpuUs / 1e6, 2);
  const mine = ours.runs.map((run) => perSecond(ours, run));
  printRatio(
    'posthaste : nodemailer',
    mine,
    theirs.runs.map((run) => perSecond(theirs, run)),
  );
  printRatio('posthaste : smtp-source', mine, sourcePerSecond);
}

function printRuns(
  label: string,
  series: Series,
  pick: (series: Series, run: MeasuredRun) => number,
  digits = 0,
): void {
  const samples = series.runs.map((run) => pick(series, run));
  printLine(label, showSamples(samples, digits));
}

/** Rates are of whole processes, with loading, the list, the ledger and the results. */
function perSecond({ mailing }: Series, run: MeasuredRun): number {
  return mailing.recipients / run.seconds;
}

function cpuUs({ mailing }: Series, run: MeasuredRun): number {
  return run.cpuUs / mailing.recipients;
}

/** Of the medians; the spread is that of the rounds, each of which is a pair. */
function printRatio(label: string, mine: readonly number[], other: readonly number[]): void {
  const pairs = mine.map((rate, round) => rate / (other[round] ?? Number.NaN));
  const spread = `${show(Math.min(...pairs), 2)}–${show(Math.max(...pairs), 2)} by round`;
  printLine(label, `${show(median(mine) / median(other), 2)} (${spread})`);
}
