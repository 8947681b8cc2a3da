// Measures what the SMTP part alone costs a sender: CPU time and memory of a pool, without lists, templates and ledger.
// Run: node bench/smtp_cpu.ts [--messages N] [--rounds N] [--short]
import { parseArgs } from 'node:util';
import { makeFolder } from './cleanup.ts';
import { profileAllocations, profileCpu, type Share } from './profile.ts';
import {
  describeLoad,
  describeMachine,
  printLine,
  readCount,
  show,
  showRounds,
  showSamples,
} from './report.ts';
import { startSandboxProcess } from './sandbox_process.ts';
import { connections, inFlight, messageBytes, modes, SmtpLoad, type Mode } from './smtp_load.ts';

/** Functions of each profile that are printed. */
const mostFunctions = 12;

interface Measurement {
  readonly cpuUs: number;
  readonly perSecond: number;
}

const { values } = parseArgs({
  options: {
    messages: { type: 'string' },
    rounds: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
});
const messages = readCount('messages', values.messages ?? (values.short ? '4000' : '40000'));
const rounds = readCount('rounds', values.rounds ?? (values.short ? '1' : '5'));
/** The compiler and the windows of the sessions need some. */
const warmUp = Math.ceil(messages / 4);

const sandbox = await startSandboxProcess(makeFolder(), 'none');
let sent = 0;
const measured = new Map<Mode, Measurement[]>(modes.map((mode) => [mode, []]));
// Taking turns, so that whatever else the machine does falls on all of them.
for (let round = 0; round < rounds; round++) {
  for (const mode of modes) measured.get(mode)?.push(await runWarm(mode, measure));
}
printMeasurements();
for (const mode of modes) {
  // Reads, and waiting for them, happen where no function of JavaScript is: the profile has them as idle.
  printShares(
    `${mode}, CPU µs/message by function, without reads and other threads`,
    await runWarm(mode, profileCpu),
    2,
  );
  printShares(`${mode}, bytes/message allocated by function`, await runWarm(mode, profileAllocations), 0);
}
// It counts what it took: each message that was settled as accepted, and no other.
await sandbox.stop(sent);

/** Sends on sessions that are open and warm. */
async function runWarm<T>(mode: Mode, run: (send: () => Promise<void>) => Promise<T>): Promise<T> {
  const load = new SmtpLoad(sandbox, mode);
  await load.send(warmUp);
  const result = await run(() => load.send(messages));
  await load.close();
  sent += warmUp + messages;
  return result;
}

async function measure(send: () => Promise<void>): Promise<Measurement> {
  const startedAt = performance.now();
  const before = process.cpuUsage();
  await send();
  const { user, system } = process.cpuUsage(before);
  return {
    cpuUs: (user + system) / messages,
    perSecond: (messages * 1000) / (performance.now() - startedAt),
  };
}

function printMeasurements(): void {
  process.stdout.write(`${describeMachine()}, ${describeLoad()}\n`);
  process.stdout.write(
    `messages of ${messageBytes} bytes to the sandbox in another process; ${connections} connections, ${inFlight} in ` +
      `flight in deep; ${show(messages)} messages after ${show(warmUp)} to warm up; ${showRounds(rounds)}; median (lowest–highest)\n`,
  );
  for (const [mode, all] of measured) {
    const cpuUs = all.map((one) => one.cpuUs);
    const perSecond = all.map((one) => one.perSecond);
    printLine(
      `${mode}, CPU µs/message`,
      `${showSamples(cpuUs, 1).padEnd(22)} ${showSamples(perSecond)} messages/s`,
    );
  }
}

function printShares(title: string, shares: readonly Share[], digits: number): void {
  const total = shares.reduce((sum, share) => sum + share.amount, 0);
  process.stdout.write(`\n${title}: ${show(total / messages, digits)}\n`);
  for (const { name, amount } of shares.slice(0, mostFunctions)) {
    const figures = `${show(amount / messages, digits).padStart(8)} ${show((amount / total) * 100).padStart(3)} %`;
    process.stdout.write(`  ${figures}  ${name}\n`);
  }
}
