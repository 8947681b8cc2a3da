// Starts a private OpenSMTPD for tests, in a jail. Debian 12's speaks no TLS: it was not made for OpenSSL 3.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildJail } from './jail.ts';
import { startPeer, type Peer, type Site } from './peer.ts';
import { greyPrefix, unknownPrefix } from './policy.ts';
import { findFreePorts } from './ports.ts';

export interface OpenSmtpd extends Peer {
  /** Plain text, no AUTH, and not PIPELINING. */
  readonly port: number;
}

export const openSmtpdPrograms = ['smtpd', 'smtpctl', 'sh', 'chroot', 'ldd', 'mknod', 'openssl'];

export async function startOpenSmtpd(): Promise<OpenSmtpd> {
  const [port = 0] = await findFreePorts(1);
  const peer = await startPeer({
    name: 'OpenSMTPD',
    ports: [port],
    prepare: (site) => prepareJail(site, port),
    start: 'chroot "$1" /usr/sbin/smtpd -d -f /etc/smtpd.conf',
    logFile: 'log/start.log',
    queueFolders: ['var/spool/smtpd/incoming', 'var/spool/smtpd/queue'],
  });
  return { ...peer, port };
}

function prepareJail(site: Site, port: number): void {
  const { folder } = site;
  // Filters are run by a shell, and this one is a script of it besides.
  buildJail(folder, { '/usr/sbin/smtpd': 'smtpd', '/usr/sbin/smtpctl': 'smtpctl', '/bin/sh': 'sh' });
  // It makes its spool itself; the empty folder is where its processes lock themselves up.
  for (const name of ['var/spool', 'var/run', 'var/lib/opensmtpd/empty'])
    mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, 'greylist'), greylistScript);
  chmodSync(join(folder, 'greylist'), 0o755);
  writeFileSync(join(folder, 'etc/smtpd.conf'), smtpdConf(site, port));
}

/** Without the limits it would pass on its messages over one connection, at 40 ms each: Nagle's algorithm. */
function smtpdConf({ nextPort }: Site, port: number): string {
  return `filter greylist proc-exec "/greylist"
listen on 127.0.0.1 port ${port} hostname mail.peer.test filter greylist
mta limit conn-delay-route 0
mta limit max-conn-per-route 10
action next relay host smtp://127.0.0.1:${nextPort}
match !rcpt-to regex "^${unknownPrefix}" from any for any action next
`;
}

/** smtpd-filters(7): lines of fields between bars; the last one of a RCPT is the address. */
const greylistScript = `#!/bin/sh
seen=' '
while IFS='|' read -r kind version instant system event session token address; do
  if [ "$kind|$version" = 'config|ready' ]; then
    echo 'register|filter|smtp-in|rcpt-to'
    echo 'register|ready'
  fi
  [ "$kind" = filter ] || continue
  verdict=proceed
  case $address in
    ${greyPrefix}*)
      case $seen in
        *" $address "*) ;;
        *)
          seen="$seen$address "
          verdict='reject|451 4.2.0 Greylisted, see RFC 6647; try again in a moment'
          ;;
      esac
      ;;
  esac
  echo "filter-result|$session|$token|$verdict"
done
`;
