// A private Postfix for tests: TLS, AUTH, real refusals; what it accepts it relays to a sandbox, where tests read it.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import type { KeptMessage } from '../../src/sandbox/kept_message.ts';
import { startGreylist } from './greylist.ts';

export interface Postfix {
  /** STARTTLS is required here, and so is AUTH. */
  readonly submissionPort: number;
  /** TLS from the first byte. */
  readonly smtpsPort: number;
  /** As submission, but a session that is silent for a second is closed with 421. */
  readonly impatientPort: number;
  /** PEM file of the authority that signed Postfix's certificate, which is good for 127.0.0.1 and not for localhost. */
  readonly caFile: string;
  /** What Postfix has logged so far. */
  log(): string;
  /** Waits until Postfix has relayed all it accepted, then returns what arrived for a domain. */
  arrivals(domain: string): Promise<readonly KeptMessage[]>;
  /** Stops everything and removes its files. */
  stop(): Promise<void>;
}

/** The account that Postfix knows. */
export const account = { user: 'mailer', pass: 'Übung macht den "Meister" %41' } as const;

/**
 * Local parts decide: `gone…` is unknown to Postfix (550 5.1.1 by its recipient table), `grey…` is greylisted (450, once
 * for each address), everybody else exists.
 */
export const unknownPrefix = 'gone';

const startTimeoutMs = 20_000;
const deliveryTimeoutMs = 20_000;
const pollEveryMs = 50;
const realm = 'peer.test';

/** Starts a Postfix of its own queue, configuration and ports, on loopback. Needs root, as Postfix does. */
export async function startPostfix(): Promise<Postfix> {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-postfix-'));
  const sandbox = await startSandbox({ keep: 'messages' });
  const greylist = await startGreylist('grey');
  const [submissionPort, smtpsPort, impatientPort] = await findFreePorts();
  prepareFolder(folder);
  const ports = { submissionPort, smtpsPort, impatientPort };
  const settings = { folder, relayPort: sandbox.port, policyPort: greylist.port };
  writeFileSync(join(folder, 'etc/main.cf'), mainCf(settings));
  writeFileSync(join(folder, 'etc/master.cf'), masterCf(ports));
  const log = (): string => ['start.log', 'mail.log'].map((name) => readFileSync(join(folder, 'log', name), 'utf8')).join('');
  const stopMaster = runMaster(folder);
  const stop = async (): Promise<void> => {
    await stopMaster();
    await Promise.all([sandbox.close(), greylist.close()]);
  };
  const arrivals = async (domain: string): Promise<readonly KeptMessage[]> => {
    await waitFor(() => isQueueEmpty(folder), deliveryTimeoutMs, () => `Postfix keeps messages:\n${log()}`);
    return sandbox.messages().filter((message) => message.recipients.every((one) => one.endsWith(`@${domain}`)));
  };
  try {
    for (const port of Object.values(ports)) {
      await waitFor(() => isListening(port), startTimeoutMs, () => `Postfix does not listen on ${port}:\n${log()}`);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { ...ports, caFile: join(folder, 'tls/ca.pem'), log, arrivals, stop };
}

/** Folders, certificates and the password database. smtpd reads the last two as the user postfix. */
function prepareFolder(folder: string): void {
  chmodSync(folder, 0o755);
  for (const name of ['etc', 'etc/sasl', 'queue', 'data', 'log', 'tls']) mkdirSync(join(folder, name));
  const uid = Number(execFileSync('id', ['-u', 'postfix'], { encoding: 'utf8' }));
  chownSync(join(folder, 'data'), uid, 0);
  for (const name of ['dynamicmaps.cf', 'dynamicmaps.cf.d']) {
    cpSync(join('/etc/postfix', name), join(folder, 'etc', name), { recursive: true });
  }
  for (const name of ['start.log', 'mail.log']) writeFileSync(join(folder, 'log', name), '');
  makeCertificates(join(folder, 'tls'));
  makePasswords(join(folder, 'etc/sasl'), uid);
}

/** An authority of our own and a certificate that it signed: what companies give to their relays. */
function makeCertificates(folder: string): void {
  const run = (...args: string[]): void => {
    const fresh = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    execFileSync('openssl', [...fresh, ...args], { cwd: folder, stdio: 'pipe' });
  };
  run('-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Peer test authority', '-addext', 'keyUsage=keyCertSign');
  const names = ['-subj', '/CN=mail.peer.test', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:mail.peer.test'];
  const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', 'basicConstraints=critical,CA:FALSE'];
  run('-keyout', 'server.key', '-out', 'server.pem', ...names, ...signer);
}

/** Debian's Postfix reads smtpd.conf in `sasl/` of its configuration, whatever cyrus_sasl_config_path says. */
function makePasswords(folder: string, uid: number): void {
  const database = join(folder, 'sasldb2');
  const settings = ['pwcheck_method: auxprop', 'auxprop_plugin: sasldb', 'mech_list: PLAIN LOGIN', `sasldb_path: ${database}`];
  writeFileSync(join(folder, 'smtpd.conf'), `${settings.join('\n')}\n`);
  const args = ['-c', '-p', '-f', database, '-u', realm, account.user];
  execFileSync('saslpasswd2', args, { input: account.pass, stdio: 'pipe', env: systemPath() });
  chownSync(database, uid, 0);
}

interface Settings {
  readonly folder: string;
  readonly relayPort: number;
  readonly policyPort: number;
}

function mainCf({ folder, relayPort, policyPort }: Settings): string {
  return `compatibility_level = 3.6
queue_directory = ${folder}/queue
data_directory = ${folder}/data
maillog_file = ${folder}/log/mail.log
maillog_file_prefixes = ${folder}/log
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.peer.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
relayhost = [127.0.0.1]:${relayPort}
relay_domains = test
relay_recipient_maps = regexp:{{!/^${unknownPrefix}/ OK}}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = reject_unlisted_recipient, check_policy_service inet:127.0.0.1:${policyPort}
smtpd_tls_cert_file = ${folder}/tls/server.pem
smtpd_tls_key_file = ${folder}/tls/server.key
smtpd_tls_auth_only = yes
smtpd_tls_received_header = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = ${realm}
smtpd_sasl_authenticated_header = yes
`;
}

interface Ports {
  readonly submissionPort: number;
  readonly smtpsPort: number;
  readonly impatientPort: number;
}

/** Nothing is chrooted: the sockets and tables are where main.cf says. */
function masterCf({ submissionPort, smtpsPort, impatientPort }: Ports): string {
  return `127.0.0.1:${submissionPort} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
127.0.0.1:${smtpsPort} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:${impatientPort} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt -o smtpd_timeout=1s -o smtpd_hard_error_limit=5
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
relay unix - - n - - smtp
flush unix n - n 1000? 0 flush
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;
}

/** Runs Postfix until its standard input ends, so that it goes with the test, however that dies; then removes all. */
const keeper = 'exec >"$1/log/start.log" 2>&1; postfix -c "$1/etc" start-fg & cat; postfix -c "$1/etc" stop; wait; rm -rf "$1"';

/** Starts the keeper and returns what ends it. It has a session of its own: Ctrl-C must not end it half-way. */
function runMaster(folder: string): () => Promise<void> {
  const child = spawn('/bin/sh', ['-c', keeper, 'keeper', folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: systemPath(),
    detached: true,
  });
  const exited = once(child, 'exit');
  return async () => {
    child.stdin.end();
    await exited;
  };
}

function systemPath(): NodeJS.ProcessEnv {
  return { PATH: `/usr/sbin:/sbin:${process.env['PATH'] ?? '/usr/bin:/bin'}` };
}

/**
 * True when everything that was accepted has left. Looked at in the order in which files move, so that none is missed
 * on its way; the relay behind never defers, so none goes backwards.
 */
function isQueueEmpty(folder: string): boolean {
  return ['incoming', 'active', 'deferred'].every((name) => countFiles(join(folder, 'queue', name)) === 0);
}

function countFiles(folder: string): number {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isFile()).length;
}

async function waitFor(isDone: () => boolean | Promise<boolean>, timeoutMs: number, describe: () => string): Promise<void> {
  const endsAt = performance.now() + timeoutMs;
  while (!(await isDone())) {
    if (performance.now() > endsAt) throw new Error(`not within ${timeoutMs / 1000} s: ${describe()}`);
    await new Promise((resolve) => setTimeout(resolve, pollEveryMs));
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}

/** All three are held at once, so that they differ. */
async function findFreePorts(): Promise<[number, number, number]> {
  const servers = [createServer(), createServer(), createServer()];
  const [first = 0, second = 0, third = 0] = await Promise.all(
    servers.map(async (server) => {
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return [first, second, third];
}
