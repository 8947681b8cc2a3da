// A real Postfix of the benchmark's own: it accepts as any relay does, holds what it has taken, and its log says for whom.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findFreePort, waitUntilListening } from './receiver.ts';

const host = '127.0.0.1';
const memoryFolder = '/dev/shm';
const pollEveryMs = 50;
/** How long after the last acceptance all may take to be in the queue. */
const queuedWithinMs = 10_000;
/** A message too many is waited for this long; one that comes later is one too many of the next run. */
const settleMs = 150;

export interface Postfix {
  readonly host: string;
  readonly port: number;
  /** Its settings beyond its defaults, for people. */
  readonly description: string;
  /** Waits until exactly so many messages are held since the last call, each for a recipient of its own, else throws. */
  expectHeld(messages: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts it with its queue in a temporary folder. Needs root, as Postfix does. */
export async function startPostfix(): Promise<Postfix> {
  if (process.getuid?.() !== 0) throw new Error('Postfix starts as root only; run this benchmark as root');
  // In memory where there is a place for it: the disk of this machine is not what is measured.
  const inMemory = existsSync(memoryFolder);
  // The keeper removes it, and not cleanup.ts: Postfix is stopped by what is in it.
  const folder = mkdtempSync(join(inMemory ? memoryFolder : tmpdir(), 'posthaste-bench-'));
  const port = await findFreePort(host);
  writeFiles(folder, port);
  const keeper = startKeeper(folder);
  const describe = (): string => `Postfix does not listen; it said:\n${readLogs(folder)}`;
  await waitUntilListening(keeper, { host, port }, describe);
  const held = new HeldMessages(folder);
  return {
    host,
    port,
    description: `queue ${inMemory ? 'in memory' : 'on disk'}; ${settings.join('; ')}`,
    expectHeld: (messages) => held.expect(messages),
    stop: () => stopKeeper(keeper),
  };
}

/** What is not as Debian ships it, to leave it as little as a relay can have to do with a message. */
const settings = [
  'in_flow_delay = 0',
  'smtpd_peername_lookup = no',
  'smtpd_relay_restrictions = permit_mynetworks, reject',
  // Held and not delivered: a delivery takes as much of the machine again as the acceptance that is measured.
  'smtpd_recipient_restrictions = check_recipient_access static:HOLD',
  'default_process_limit = 200',
  'receive_override_options = no_address_mappings, no_unknown_recipient_checks, no_header_body_checks',
] as const;

function writeFiles(folder: string, port: number): void {
  const uid = Number(execFileSync('id', ['-u', 'postfix'], { encoding: 'utf8' }));
  // smtpd and its like read and write here as the user postfix.
  chmodSync(folder, 0o755);
  for (const name of ['etc', 'queue', 'data', 'log']) mkdirSync(join(folder, name));
  chownSync(join(folder, 'data'), uid, 0);
  for (const name of ['start.log', 'mail.log']) writeFileSync(join(folder, 'log', name), '');
  writeFileSync(join(folder, 'etc/main.cf'), mainCf(folder));
  writeFileSync(join(folder, 'etc/master.cf'), masterCf(port));
}

function mainCf(folder: string): string {
  return `compatibility_level = 3.6
queue_directory = ${folder}/queue
data_directory = ${folder}/data
maillog_file = ${folder}/log/mail.log
maillog_file_prefixes = ${folder}/log
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.peer.test
mydestination =
inet_interfaces = ${host}
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
${settings.join('\n')}
`;
}

function masterCf(port: number): string {
  return `${host}:${port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`;
}

/** Ends Postfix when its standard input ends, so that Postfix goes with us, however we go. */
const keeperScript =
  'exec >"$1/log/start.log" 2>&1; postfix -c "$1/etc" start-fg & cat; postfix -c "$1/etc" stop; wait; rm -rf "$1"';

/** In a process group of its own: Ctrl-C must not end the keeper half-way. */
function startKeeper(folder: string): ChildProcess {
  // Debian keeps Postfix where the PATH of a plain user does not look.
  const path = `/usr/sbin:/sbin:${process.env['PATH'] ?? '/usr/bin:/bin'}`;
  return spawn('/bin/sh', ['-c', keeperScript, 'keeper', folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: path },
    detached: true,
  });
}

async function stopKeeper(keeper: ChildProcess): Promise<void> {
  if (keeper.exitCode !== null) return;
  const exited = once(keeper, 'exit');
  keeper.stdin?.end();
  await exited;
}

function readLogs(folder: string): string {
  const paths = ['start.log', 'mail.log'].map((name) => join(folder, 'log', name));
  return paths.map((path) => (existsSync(path) ? readFileSync(path, 'utf8') : '')).join('');
}

/** Counts the messages in the queue's folder, and whom the log says they are for. */
class HeldMessages {
  readonly #queue: string;
  readonly #log: string;
  #before = 0;
  #readBytes = 0;

  constructor(folder: string) {
    this.#queue = join(folder, 'queue/hold');
    this.#log = join(folder, 'log/mail.log');
  }

  async expect(messages: number): Promise<void> {
    const until = performance.now() + queuedWithinMs;
    while (this.#count() < messages && performance.now() < until) await delay(pollEveryMs);
    await delay(settleMs);
    const [held, distinct] = [this.#count(), (await this.#readRecipients()).size];
    this.#before += held;
    if (held === messages && distinct === messages) return;
    throw new Error(`Postfix holds ${held} messages for ${distinct} recipients, not ${messages}`);
  }

  #count(): number {
    return readdirSync(this.#queue).length - this.#before;
  }

  /** Of what was logged since the last time. */
  async #readRecipients(): Promise<ReadonlySet<string>> {
    const file = await open(this.#log);
    try {
      const { size } = await file.stat();
      const { buffer } = await file.read(Buffer.alloc(size - this.#readBytes), 0, undefined, this.#readBytes);
      this.#readBytes = size;
      const text = buffer.toString('utf8');
      return new Set([...text.matchAll(/ triggers HOLD action; .* to=<([^>]*)>/g)].map(([, to = '']) => to));
    } finally {
      await file.close();
    }
  }
}
