// posthaste sandbox: the misbehaving relay as a command, for rehearsals and tests.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { InvalidArgumentError, type Command } from 'commander';
import { ExitCode, messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';
import { parseExtensions, type SandboxExtension } from '../sandbox/extensions.ts';
import { parseFault } from '../sandbox/fault_text.ts';
import type { Fault } from '../sandbox/fault.ts';
import type { CertificateFlaw, SandboxOptions, SandboxSecurity } from '../sandbox/options.ts';
import { startSandbox, type Sandbox } from '../sandbox/sandbox.ts';

/** Replies in flight are timers; nothing real is further away. */
const maxLatencyMs = 60_000;

interface SandboxFlags {
  readonly host: string;
  readonly port: number;
  readonly tls: SandboxSecurity;
  readonly certificate?: string;
  readonly certificateFlaw?: CertificateFlaw;
  readonly user?: string;
  readonly extensions?: readonly SandboxExtension[];
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
    .option('--certificate <file>', 'where to write the certificate to trust (PEM); needs --tls')
    .option('--certificate-flaw <flaw>', 'wrong-name or expired', parseFlaw)
    .option('--user <name>', 'ask for AUTH; the password is read from $SANDBOX_PASSWORD')
    .option(
      '--extensions <names>',
      '"PIPELINING,SIZE" for these alone, "-CHUNKING" for all but one, "none"; all by default',
      parseExtensions,
    )
    .option(
      '--fault <rule>',
      'STAGE [CONDITION…]: ACTION, e.g. "rcpt 5%: 450 4.2.1 busy"; may be repeated',
      addFault,
      [],
    )
    .option(
      '--latency <ms>',
      `delay every reply by so many milliseconds, at most ${maxLatencyMs}`,
      parseLatency,
    )
    .option('--seed <number>', 'decides which recipients are in a share', parseCount)
    .option('--json', 'print one object when it listens, and one with the counts when it ends')
    .action(runSandbox);
}

async function runSandbox(flags: SandboxFlags): Promise<void> {
  const sandbox = await startSandbox(optionsOf(flags));
  try {
    if (flags.certificate !== undefined) writeCertificate(flags.certificate, sandbox);
    // Listened for first: whoever reads the announcement may say so at once.
    const told = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
    announce(flags, sandbox);
    await told;
  } finally {
    await sandbox.close();
  }
  const stats = sandbox.stats();
  if (flags.json === true) print({ type: 'stats', ...stats });
  else {
    const broken = Object.entries(stats.violations).filter(([, count]) => count > 0);
    const violations = broken.map(([kind, count]) => `${kind} ${count}`).join(', ') || 'none';
    process.stderr.write(
      `sandbox took ${stats.taken} messages over ${stats.connections} connections; violations: ${violations}\n`,
    );
  }
}

function announce(flags: SandboxFlags, sandbox: Sandbox): void {
  const { host, port, certificate } = sandbox;
  if (flags.json === true) return print({ type: 'listening', host, port, certificate });
  process.stderr.write(`sandbox listens on ${host}:${port}; Ctrl-C ends it\n`);
  if (certificate !== undefined && flags.certificate === undefined) process.stdout.write(certificate);
}

function writeCertificate(file: string, sandbox: Sandbox): void {
  const { certificate } = sandbox;
  if (certificate === undefined) {
    throw new PosthasteError({
      code: 'ERR_SANDBOX_NO_CERTIFICATE',
      message: `There is no certificate to write to ${file}: --tls is none, expected starttls or implicit.`,
      hint: 'Add --tls starttls, or leave --certificate out.',
      exitCode: ExitCode.usage,
    });
  }
  try {
    writeFileSync(file, certificate);
  } catch (cause) {
    throw new PosthasteError({
      code: 'ERR_SANDBOX_CERTIFICATE_FILE',
      message: `The certificate cannot be written to ${file} (${systemCodeOf(cause) ?? messageOf(cause)}), expected a file that can be created or replaced.`,
      hint: 'Name a file in a folder that exists and that you may write to.',
      where: file,
      exitCode: ExitCode.ioError,
      cause,
    });
  }
}

function optionsOf(flags: SandboxFlags): SandboxOptions {
  const { host, port, tls, certificateFlaw, extensions, fault, latency, seed, user } = flags;
  const pass = process.env['SANDBOX_PASSWORD'] ?? '';
  return {
    host,
    port,
    tls,
    certificateFlaw,
    extensions,
    faults: fault,
    inspect: true,
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

function parseTls(text: string): SandboxSecurity {
  if (text === 'none' || text === 'starttls' || text === 'implicit') return text;
  throw new InvalidArgumentError('expected none, starttls or implicit.');
}

function parseFlaw(text: string): CertificateFlaw {
  if (text === 'wrong-name' || text === 'expired') return text;
  throw new InvalidArgumentError('expected wrong-name or expired.');
}

function parsePort(text: string): number {
  const port = parseCount(text);
  if (port > 65_535) throw new InvalidArgumentError('expected a port from 0 to 65535.');
  return port;
}

function parseLatency(text: string): number {
  const ms = parseCount(text);
  if (ms > maxLatencyMs) throw new InvalidArgumentError(`expected at most ${maxLatencyMs} ms.`);
  return ms;
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return Number(text);
}
