// Measures how a long line slows senders down: 5 connections to a real Postfix behind a proxy that delays.
// Run: node bench/round_trip.ts [--round-trips MS,MS…] [--rounds N] [--seconds N] [--short]
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { makeFolder } from './cleanup.ts';
import { startDelayProxy } from './delay_proxy.ts';
import { writeMailing } from './mailing.ts';
import type { MeasuredRun } from './measured_run.ts';
import { startPostfix } from './postfix.ts';
import type { Place } from './receiver.ts';
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
import { runNodemailer, runSend, type Way } from './sending.ts';
import { postfixVersion } from './smtp_sink.ts';

const connections = 5;
/** Where the targets are. */
const targetRoundTripMs = 50;
const standardTarget = 1.9;
const deepTarget = 20;
/** Commands of one probe of the line; Postfix slows down from the hundredth that sends nothing. */
const probes = 15;

interface Sender {
  readonly name: string;
  /** Round trips that a connection needs for a message. */
  readonly roundTrips: number;
  /** Parameters of our relay URL; undefined for nodemailer. */
  readonly relay: Readonly<Record<string, string>> | undefined;
}

/** Parameters of the relay URL for each of ours. */
function makeSenders(inFlights: readonly number[]): readonly Sender[] {
  return [
    { name: 'nodemailer pool', roundTrips: 2, relay: undefined },
    { name: 'posthaste off', roundTrips: 4, relay: { pipelining: 'off' } },
    { name: 'posthaste standard', roundTrips: 1, relay: { pipelining: 'standard' } },
    ...inFlights.map((inFlight) => ({
      name: `posthaste deep ${inFlight}`,
      roundTrips: 1 / inFlight,
      relay: { pipelining: 'deep', inFlight: String(inFlight) },
    })),
  ];
}

/** The runs of one sender over one line. Beside each run stands one of a message for each connection: the start alone. */
interface Series {
  readonly sender: Sender;
  readonly recipients: number;
  readonly runs: MeasuredRun[];
  readonly startRuns: MeasuredRun[];
}

const { values } = parseArgs({
  options: {
    'round-trips': { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
});
const roundTrips = readRoundTrips(values['round-trips'] ?? (values.short ? '50' : '0,5,20,50,100,200'));
const seconds = readCount('seconds', values.seconds ?? (values.short ? '1' : '6'));
const senders = makeSenders(values.short ? [32] : [8, 16, 32]);

const folder = makeFolder();
const postfix = await startPostfix();
try {
  printHead();
  for (const roundTripMs of roundTrips) await measureLine(roundTripMs);
} finally {
  await postfix.stop();
}

/** The line of the targets is measured more often. */
function countRounds(roundTripMs: number): number {
  const usual = !values.short && roundTripMs === targetRoundTripMs ? '3' : '1';
  return readCount('rounds', values.rounds ?? usual);
}

function readRoundTrips(text: string): number[] {
  return text.split(',').map((part) => (part === '0' ? 0 : readCount('round-trips', part)));
}

function printHead(): void {
  const versions = `nodemailer ${versionOf('nodemailer')}, Postfix ${postfixVersion()}`;
  process.stdout.write(`${describeMachine()}, ${versions}\n`);
  process.stdout.write(`Postfix: ${postfix.description}\n`);
  process.stdout.write(
    `${connections} connections, 1 worker thread; messages/s: steady, without start and end, median (lowest–highest); by ` +
      "the sender's own summary; of the whole process\n",
  );
}

async function measureLine(roundTripMs: number): Promise<void> {
  const place =
    roundTripMs === 0 ? { ...postfix, close: async () => {} } : await startDelayProxy(postfix, roundTripMs);
  try {
    const measuredMs = await probeRoundTripMs(place, roundTripMs);
    const all = senders.map((sender): Series => ({
      sender,
      recipients: chooseRecipients(sender, roundTripMs),
      runs: [],
      startRuns: [],
    }));
    // Taking turns, so that whatever else the machine does falls on all of them.
    for (let round = countRounds(roundTripMs); round > 0; round--) {
      for (const series of all) await runOnce(series, place);
    }
    printSeries(roundTripMs, measuredMs, all);
  } finally {
    await place.close();
  }
}

/** So many that a run takes the time that was asked for, by what the line allows and this Postfix can about do. */
function chooseRecipients({ roundTrips: trips }: Sender, roundTripMs: number): number {
  const perSecond = Math.min(connections / ((trips * roundTripMs + 3) / 1000), 1000);
  return Math.ceil((perSecond * seconds) / 50) * 50;
}

async function runOnce({ sender, recipients, runs, startRuns }: Series, place: Place): Promise<void> {
  startRuns.push(await runSender(sender, connections, place));
  runs.push(await runSender(sender, recipients, place));
}

async function runSender({ relay }: Sender, recipients: number, { host, port }: Place): Promise<MeasuredRun> {
  const mailing = await writeMailing(folder, recipients);
  const open: Way['open'] = () => Promise.resolve({ host, port, stop: (count) => postfix.expectHeld(count) });
  const way = { open, connections, relay };
  return relay === undefined ? runNodemailer(mailing, way) : runSend(mailing, way);
}

/** The median of some commands that do nothing, as a client sees them. Throws when the proxy gives another line than asked. */
async function probeRoundTripMs(place: Place, askedMs: number): Promise<number> {
  const socket = connect({ ...place, noDelay: true });
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  await lines.next();
  const samplesMs: number[] = [];
  for (let probe = 0; probe < probes; probe++) {
    const askedAt = performance.now();
    socket.write('NOOP\r\n');
    await lines.next();
    samplesMs.push(performance.now() - askedAt);
  }
  socket.end('QUIT\r\n');
  await lines.next();
  socket.destroy();
  const measuredMs = median(samplesMs);
  if (measuredMs >= askedMs && measuredMs < askedMs * 1.2 + 10) return measuredMs;
  throw new Error(`the proxy makes a round trip of ${measuredMs} ms, not of ${askedMs}`);
}

function printSeries(roundTripMs: number, measuredMs: number, all: readonly Series[]): void {
  const line = roundTripMs === 0 ? 'no proxy' : 'through the proxy';
  process.stdout.write(
    `\nround trip ${roundTripMs} ms (${show(measuredMs, 1)} measured, ${line}), ${showRounds(all[0]?.runs.length ?? 0)}, ${describeLoad()}\n`,
  );
  const [theirs] = all.map((series) => median(ratesOf(series)));
  for (const series of all) {
    const ratio = median(ratesOf(series)) / (theirs ?? Number.NaN);
    const whole = series.runs.map((run) => series.recipients / run.seconds);
    const own = series.runs.map((run) => run.summary.perSecond);
    const figures = [
      showSamples(ratesOf(series)).padEnd(24),
      `× ${show(ratio, 1)}`.padEnd(8),
      `summary ${show(median(own))}`.padEnd(14),
      `whole ${show(median(whole))}`.padEnd(12),
      `${show(series.recipients)} recipients`,
    ];
    printLine(`  ${series.sender.name}`, figures.join(' '));
  }
  if (roundTripMs === targetRoundTripMs) printTargets(all, theirs ?? Number.NaN);
}

/**
 * Steady rates: messages over what a run took longer than one of a message for each connection, both by the sender's
 * own summary. So neither start, handshakes nor goodbyes count: they do not grow with the list.
 */
function ratesOf({ recipients, runs, startRuns }: Series): number[] {
  return runs.map((run, round) => {
    const startSeconds = connections / (startRuns[round]?.summary.perSecond ?? Number.NaN);
    return (recipients - connections) / (recipients / run.summary.perSecond - startSeconds);
  });
}

function printTargets(all: readonly Series[], theirs: number): void {
  const judge = (name: string, target: number): void => {
    const rates = all
      .filter(({ sender }) => sender.name.includes(name))
      .map((series) => median(ratesOf(series)));
    const ratio = Math.max(...rates) / theirs;
    const judgement = values.short ? 'too short to judge' : ratio >= target ? 'met' : 'MISSED';
    printLine(
      `${name} : nodemailer`,
      `${show(ratio, 1)} at ${targetRoundTripMs} ms (target: at least ${target}, ${judgement})`,
    );
  };
  judge('standard', standardTarget);
  judge('deep', deepTarget);
}
