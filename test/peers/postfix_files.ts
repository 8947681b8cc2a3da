// What a private Postfix reads: its configuration, certificates and passwords, in one folder.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface PostfixSettings {
  /** Absolute; everything is in it. */
  readonly folder: string;
  /** STARTTLS is required here, and so is AUTH. */
  readonly submissionPort: number;
  /** TLS from the first byte, and AUTH. */
  readonly smtpsPort: number;
  /** As submission, but 421 ends a session after a second of silence or five refusals in a row. */
  readonly impatientPort: number;
  /** As submission, but a third connection at once gets 421. */
  readonly narrowPort: number;
  /** On loopback: where accepted messages go, in plain text. */
  readonly nextPort: number;
  /** On loopback: the policy service that is asked about recipients. */
  readonly policyPort: number;
}

/** The account that Postfix knows. Its password has something to get wrong in YAML, URLs and base64. */
export const account = { user: 'mailer', pass: 'Übung macht den "Meister" %41' } as const;

/** Postfix knows no recipient whose address begins so: 550 5.1.1. */
export const unknownPrefix = 'gone';
/** Recipients whose address begins so get 450 once; it is the policy service that says it. */
export const greyPrefix = 'grey';

const realm = 'peer.test';

/** Writes all files. smtpd reads certificates and passwords as the user postfix, so the folder is opened to it. */
export function writePostfixFiles(settings: PostfixSettings): void {
  const { folder } = settings;
  const uid = Number(execFileSync('id', ['-u', 'postfix'], { encoding: 'utf8' }));
  chmodSync(folder, 0o755);
  for (const name of ['etc', 'etc/sasl', 'queue', 'data', 'log', 'tls']) mkdirSync(join(folder, name));
  chownSync(join(folder, 'data'), uid, 0);
  // Debian's list of the tables that come as plug-ins.
  for (const name of ['dynamicmaps.cf', 'dynamicmaps.cf.d']) {
    cpSync(join('/etc/postfix', name), join(folder, 'etc', name), { recursive: true });
  }
  for (const name of ['start.log', 'mail.log']) writeFileSync(join(folder, 'log', name), '');
  writeFileSync(join(folder, 'etc/main.cf'), mainCf(settings));
  writeFileSync(join(folder, 'etc/master.cf'), masterCf(settings));
  makeCertificates(join(folder, 'tls'));
  makePasswords(join(folder, 'etc/sasl'), uid);
}

/** An authority of our own and a certificate that it signed, as companies have them for their relays. */
function makeCertificates(folder: string): void {
  const fresh = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
  ];
  const run = (...args: string[]): void => {
    execFileSync('openssl', [...fresh, ...args], { cwd: folder, stdio: 'pipe' });
  };
  const authority = ['-subj', '/CN=Peer test authority', '-addext', 'keyUsage=keyCertSign'];
  run('-keyout', 'ca.key', '-out', 'ca.pem', ...authority);
  const names = ['-subj', '/CN=mail.peer.test', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:mail.peer.test'];
  const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', 'basicConstraints=critical,CA:FALSE'];
  run('-keyout', 'server.key', '-out', 'server.pem', ...names, ...signer);
}

/** Debian's Postfix reads smtpd.conf in `sasl/` of its configuration, whatever cyrus_sasl_config_path says. */
function makePasswords(folder: string, uid: number): void {
  const database = join(folder, 'sasldb2');
  writeFileSync(
    join(folder, 'smtpd.conf'),
    `pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\nsasldb_path: ${database}\n`,
  );
  const args = ['-c', '-p', '-f', database, '-u', realm, account.user];
  execFileSync('saslpasswd2', args, { input: account.pass, stdio: 'pipe', env: systemPath() });
  chownSync(database, uid, 0);
}

/** Debian keeps Postfix and its like where the PATH of a plain user does not look. */
export function systemPath(): NodeJS.ProcessEnv {
  return { PATH: `/usr/sbin:/sbin:${process.env['PATH'] ?? '/usr/bin:/bin'}` };
}

function mainCf({ folder, nextPort, policyPort }: PostfixSettings): string {
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
relayhost = [127.0.0.1]:${nextPort}
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

/** Nothing is chrooted: the sockets and tables are where main.cf says. */
function masterCf({ submissionPort, smtpsPort, impatientPort, narrowPort }: PostfixSettings): string {
  return `127.0.0.1:${submissionPort} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
127.0.0.1:${smtpsPort} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
127.0.0.1:${impatientPort} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_timeout=1s -o smtpd_hard_error_limit=5
127.0.0.1:${narrowPort} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_client_connection_count_limit=2
  -o smtpd_client_event_limit_exceptions=
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;
}
