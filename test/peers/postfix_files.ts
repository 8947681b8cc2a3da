// What a private Postfix reads: its configuration and passwords.
import { execFileSync } from 'node:child_process';
import { chownSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Site } from './peer.ts';
import { account, bannedPrefix, unknownPrefix } from './policy.ts';
import { systemPath } from './required.ts';

export interface PostfixPorts {
  /** STARTTLS is required here, and so is AUTH. */
  readonly submissionPort: number;
  /** TLS from the first byte, and AUTH. */
  readonly smtpsPort: number;
  /** As submission, but 421 ends a session after a second of silence or five refusals in a row. */
  readonly impatientPort: number;
  /** As submission, but a third connection at once gets 421. */
  readonly narrowPort: number;
  /**
   * As submission, but a fifty-first connection at once gets 421, as Postfix's default is for hosts of the world. Each RCPT takes a
   * second, so that all sessions are wanted however fast the machine is.
   */
  readonly broadPort: number;
}

const realm = 'peer.test';

/** Writes all files. smtpd reads passwords as the user postfix. */
export function writePostfixFiles(site: Site, ports: PostfixPorts): void {
  const { folder } = site;
  const uid = Number(execFileSync('id', ['-u', 'postfix'], { encoding: 'utf8' }));
  for (const name of ['etc', 'etc/sasl', 'queue', 'data']) mkdirSync(join(folder, name));
  chownSync(join(folder, 'data'), uid, 0);
  // Debian's list of the tables that come as plug-ins.
  for (const name of ['dynamicmaps.cf', 'dynamicmaps.cf.d']) {
    cpSync(join('/etc/postfix', name), join(folder, 'etc', name), { recursive: true });
  }
  writeFileSync(join(folder, 'etc/main.cf'), mainCf(site));
  writeFileSync(join(folder, 'etc/master.cf'), masterCf(ports));
  makePasswords(join(folder, 'etc/sasl'), uid);
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

function mainCf({ folder, nextPort, policyPort }: Site): string {
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
in_flow_delay = 0
relayhost = [127.0.0.1]:${nextPort}
relay_domains = test
relay_recipient_maps = regexp:{{!/^${unknownPrefix}/ OK}}
smtpd_delay_reject = no
smtpd_sender_restrictions = check_sender_access regexp:{{/^${bannedPrefix}/ REJECT}}
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
function masterCf(ports: PostfixPorts): string {
  return `127.0.0.1:${ports.submissionPort} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
127.0.0.1:${ports.smtpsPort} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
127.0.0.1:${ports.impatientPort} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_timeout=1s -o smtpd_hard_error_limit=5
127.0.0.1:${ports.narrowPort} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_client_connection_count_limit=2
  -o smtpd_client_event_limit_exceptions=
127.0.0.1:${ports.broadPort} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_client_connection_count_limit=50
  -o smtpd_client_event_limit_exceptions=
  -o { smtpd_recipient_restrictions = sleep 1, reject_unlisted_recipient }
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
