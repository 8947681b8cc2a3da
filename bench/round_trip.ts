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

/** The runs of one sender over one line. */
interface Series {
  readonly sender: Sender;
  readonly recipients: number;
  readonly runs: MeasuredRun[];
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
const rounds = readCount('rounds', values.rounds ?? (values.short ? '1' : '3'));
const seconds = readCount('seconds', values.seconds ?? (values.short ? '1' : '4'));
const senders = makeSenders(values.short ? [32] : [8, 16, 32]);

const folder = makeFolder();
const postfix = await startPostfix();
try {
  printHead();
  for (const roundTripMs of roundTrips) await measureLine(roundTripMs);
} finally {
  await postfix.stop();
}

function readRoundTrips(text: string): number[] {
  return text.split(',').map((part) => (part === '0' ? 0 : readCount('round-trips', part)));
}

function printHead(): void {
  const versions = `nodemailer ${versionOf('nodemailer')}, Postfix ${postfixVersion()}`;
  process.stdout.write(`${describeMachine()}, ${versions}\n`);
  process.stdout.write(`Postfix: ${postfix.description}\n`);
  process.stdout.write(
    `${connections} connections, 1 worker thread, ${showRounds(rounds)}; messages/s by each sender's own summary, and of ` +
      'whole processes from start to exit; median (lowest–highest)\n',
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
    }));
    // Taking turns, so that whatever else the machine does falls on all of them.
    for (let round = 0; round < rounds; round++) for (const series of all) await runOnce(series, place);
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

async function runOnce({ sender, recipients, runs }: Series, { host, port }: Place): Promise<void> {
  const mailing = await writeMailing(folder, recipients);
  const open: Way['open'] = () =>
    Promise.resolve({ host, port, stop: (count) => postfix.expectDelivered(count) });
  const way = { open, connections, relay: sender.relay };
  runs.push(await (sender.relay === undefined ? runNodemailer(mailing, way) : runSend(mailing, way)));
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
    `\nround trip ${roundTripMs} ms (${show(measuredMs, 1)} measured, ${line}), ${describeLoad()}\n`,
  );
  const [theirs] = all.map((series) => median(ratesOf(series)));
  for (const series of all) {
    const ratio = median(ratesOf(series)) / (theirs ?? Number.NaN);
    const whole = series.runs.map((run) => series.recipients / run.seconds);
    const figures = [
      showSamples(ratesOf(series)).padEnd(24),
      `× ${show(ratio, 1)}`.padEnd(8),
      `whole ${showSamples(whole)}`.padEnd(26),
      `${show(series.recipients)} recipients`,
    ];
    printLine(`  ${series.sender.name}`, figures.join(' '));
  }
  if (roundTripMs === targetRoundTripMs) printTargets(all, theirs ?? Number.NaN);
}

/** Once its sessions are open and until they are closed: what a long list comes to. */
function ratesOf({ runs }: Series): number[] {
  return runs.map((run) => run.summary.perSecond);
}

function printTargets(all: readonly Series[], theirs: number): void {
  const judge = (name: string, target: number): void => {
    const rates = all
      .filter(({ sender }) => sender.name.includes(name))
      .map((series) => median(ratesOf(series)));
    const ratio = Math.max(...rates) / theirs;
    const judgement = ratio >= target ? 'met' : 'MISSED';
    printLine(
      `${name} : nodemailer`,
      `${show(ratio, 1)} at ${targetRoundTripMs} ms (target: at least ${target}, ${judgement})`,
    );
  };
  judge('standard', standardTarget);
  judge('deep', deepTarget);
}
