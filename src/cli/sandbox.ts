// posthaste sandbox: the misbehaving relay as a command, for rehearsals and tests.
import { once } from 'node:events';
import { InvalidArgumentError, type Command } from 'commander';
import { parseFault } from '../sandbox/fault_text.ts';
import type { Fault } from '../sandbox/fault.ts';
import type { SandboxOptions } from '../sandbox/options.ts';
import { startSandbox } from '../sandbox/sandbox.ts';

interface SandboxFlags {
  readonly host: string;
  readonly port: number;
  readonly tls: 'none' | 'starttls' | 'implicit';
  readonly user?: string;
  readonly fault: readonly Fault[];
  readonly latency?: number;
  readonly seed?: number;
  readonly json?: boolean;
}

export function addSandbox(program: Command): void {
  program
    .command('sandbox')
    .description('run an SMTP relay that accepts, throttles, fails and lies on demand; delivers nothing')
    .option('--host <address>', 'where to listen', '127.0.0.1')
    .option('--port <number>', '0 is any free one', parsePort, 2525)
    .option('--tls <mode>', 'none, starttls or implicit', parseTls, 'none')
    .option('--user <name>', 'ask for AUTH; the password is read from $SANDBOX_PASSWORD')
    .option(
      '--fault <rule>',
      'STAGE [CONDITION…]: ACTION, e.g. "rcpt 5%: 450 4.2.1 busy"; may be repeated',
      addFault,
      [],
    )
    .option('--latency <ms>', 'delay every reply by so many milliseconds', parseCount)
    .option('--seed <number>', 'decides which recipients are in a share', parseCount)
    .option('--json', 'print one object when it listens, and one with the counts when it ends')
    .action(runSandbox);
}

async function runSandbox(flags: SandboxFlags): Promise<void> {
  const sandbox = await startSandbox(optionsOf(flags));
  const listening = {
    type: 'listening',
    host: sandbox.host,
    port: sandbox.port,
    certificate: sandbox.certificate,
  };
  if (flags.json === true) print(listening);
  else process.stderr.write(`sandbox listens on ${sandbox.host}:${sandbox.port}; Ctrl-C ends it\n`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  const stats = sandbox.stats();
  await sandbox.close();
  if (flags.json === true) print({ type: 'stats', ...stats });
  else process.stderr.write(`sandbox took ${stats.taken} messages over ${stats.connections} connections\n`);
}

function optionsOf(flags: SandboxFlags): SandboxOptions {
  const { host, port, tls, fault, latency, seed, user } = flags;
  const pass = process.env['SANDBOX_PASSWORD'] ?? '';
  return {
    host,
    port,
    tls,
    faults: fault,
    latencyMs: latency,
    seed,
    auth: user === undefined ? undefined : { user, pass },
  };
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function addFault(text: string, before: readonly Fault[]): readonly Fault[] {
  return [...before, parseFault(text)];
}

function parseTls(text: string): SandboxFlags['tls'] {
  if (text === 'none' || text === 'starttls' || text === 'implicit') return text;
  throw new InvalidArgumentError('expected none, starttls or implicit.');
}

function parsePort(text: string): number {
  const port = parseCount(text);
  if (port > 65_535) throw new InvalidArgumentError('expected a port from 0 to 65535.');
  return port;
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return Number(text);
}
