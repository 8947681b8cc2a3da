// Measures that memory does not grow with the list: peak resident memory of a long campaign and of a short one.
// Run: node bench/memory.ts [--recipients N] [--rounds N] [--short]
import { parseArgs } from 'node:util';
import { makeFolder } from './cleanup.ts';
import { writeMailing } from './mailing.ts';
import { describeMachine, median, printLine, readCount, show, showRounds, showSamples } from './report.ts';
import { connections, runSend } from './sending.ts';
import { postfixVersion } from './smtp_sink.ts';

/** The list that every other is compared with. */
const baseRecipients = 10_000;
const targetMib = 60;
const mib = 1_048_576;

const { values } = parseArgs({
  options: {
    recipients: { type: 'string' },
    rounds: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
});
const recipients = readCount('recipients', values.recipients ?? (values.short ? '100000' : '1000000'));
const rounds = readCount('rounds', values.rounds ?? (values.short ? '1' : '3'));
if (recipients <= baseRecipients) throw new Error(`--recipients is above ${baseRecipients}`);

const folder = makeFolder();
const short = await writeMailing(folder, baseRecipients);
const long = await writeMailing(folder, recipients);
const shortMib: number[] = [];
const longMib: number[] = [];
for (let round = 0; round < rounds; round++) {
  shortMib.push((await runSend(short)).peakBytes / mib);
  longMib.push((await runSend(long)).peakBytes / mib);
}

process.stdout.write(`${describeMachine()}, Postfix ${postfixVersion()} (smtp-sink)\n`);
process.stdout.write(
  `peak resident memory of posthaste send; messages of ${short.messageBytes} bytes, ${connections} connections, ` +
    `1 worker thread, ${showRounds(rounds)}; median (lowest–highest)\n`,
);
printLine(`${show(baseRecipients)} recipients, MiB`, showSamples(shortMib));
printLine(`${show(recipients)} recipients, MiB`, showSamples(longMib));
const differenceMib = median(longMib) - median(shortMib);
const judgement = differenceMib <= targetMib ? 'met' : 'MISSED';
printLine('difference, MiB', `${show(differenceMib)} (target: at most ${targetMib}, ${judgement})`);
