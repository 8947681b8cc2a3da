// Starts a private Exim for tests, in a jail.
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildJail, jailUsers } from './jail.ts';
import { startPeer, type Peer, type Site } from './peer.ts';
import { account, bannedPrefix, greyPrefix, unknownPrefix } from './policy.ts';
import { findFreePorts } from './ports.ts';

export interface Exim extends Peer {
  /** STARTTLS, and AUTH PLAIN in it; both are required. */
  readonly port: number;
}

export const eximPrograms = ['exim4', 'chroot', 'ldd', 'mknod', 'openssl'];

export async function startExim(): Promise<Exim> {
  const [port = 0] = await findFreePorts(1);
  const peer = await startPeer({
    name: 'Exim',
    ports: [port],
    prepare: (site) => prepareJail(site, port),
    // In the foreground; once a second it looks whether there is something in its queue.
    start: 'chroot "$1" /usr/sbin/exim4 -bdf -q1s',
    logFile: 'log/mainlog',
    queueFolders: ['spool/input'],
  });
  return { ...peer, port };
}

function prepareJail(site: Site, port: number): void {
  const { folder } = site;
  buildJail(folder, { '/usr/sbin/exim4': 'exim4' });
  const uid = jailUsers['Debian-exim'];
  mkdirSync(join(folder, 'spool/input'), { recursive: true });
  for (const name of ['spool', 'spool/input', 'log', 'log/mainlog', 'tls/server.key'])
    chownSync(join(folder, name), uid, uid);
  // One of the two places where Debian's Exim looks for it.
  mkdirSync(join(folder, 'etc/exim4'));
  writeFileSync(join(folder, 'etc/exim4/exim4.conf'), eximConf(site, port));
}

/** Exim's string syntax: a double quote inside one is escaped, and so is what expansion would take for its own. */
function quote(text: string): string {
  return text.replace(/[\\"${}]/g, String.raw`\$&`);
}

/*
 * Messages are queued and delivered by the queue runner, each by a connection of its own: a process for a delivery that
 * hands its connection to the next one is started anew each time, and costs four times as much.
 */
function eximConf({ nextPort, policyPort }: Site, port: number): string {
  const greyAnswer = `\${readsocket{inet:127.0.0.1:${policyPort}}{recipient=$local_part@$domain\\n\\n}{5s}}`;
  return `primary_hostname = mail.peer.test
exim_user = Debian-exim
exim_group = Debian-exim
deliver_drop_privilege
spool_directory = /spool
log_file_path = /log/%slog
pid_file_path = /spool/exim.pid
log_selector = +pipelining
keep_environment =
local_interfaces = <; 127.0.0.1.${port}
daemon_smtp_ports = ${port}
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = /tls/server.pem
tls_privatekey = /tls/server.key
auth_advertise_hosts = \${if def:tls_in_cipher{*}}
smtp_accept_max = 100
queue_only
queue_run_max = 1
acl_smtp_mail = check_mail
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept

begin acl
check_mail:
  require authenticated = *
  deny senders = ^${bannedPrefix}
  accept
check_rcpt:
  deny local_parts = ^${unknownPrefix}
    message = 5.1.1 <$local_part@$domain>: User unknown
  defer local_parts = ^${greyPrefix}
    condition = \${if match{${greyAnswer}}{450}}
    message = 4.2.0 Greylisted, see RFC 6647; try again in a moment
  accept

begin routers
next:
  driver = manualroute
  route_list = * 127.0.0.1
  transport = next
  self = send

begin transports
next:
  driver = smtp
  port = ${nextPort}
  allow_localhost
  hosts_avoid_tls = *
  connection_max_messages = 1

begin retry
* * F,1h,1s

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = "\${if and{{eq{$auth2}{${account.user}}}{eq{$auth3}{${quote(account.pass)}}}}}"
  server_set_id = $auth2
`;
}
