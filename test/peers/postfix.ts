// Starts a private Postfix for tests.
import { startPeer, type Peer } from './peer.ts';
import { findFreePorts } from './ports.ts';
import { writePostfixFiles, type PostfixPorts } from './postfix_files.ts';

export type Postfix = Peer & PostfixPorts;

export async function startPostfix(): Promise<Postfix> {
  const [submissionPort = 0, smtpsPort = 0, impatientPort = 0, narrowPort = 0, broadPort = 0] =
    await findFreePorts(5);
  const ports = { submissionPort, smtpsPort, impatientPort, narrowPort, broadPort };
  const peer = await startPeer({
    name: 'Postfix',
    ports: Object.values(ports),
    prepare: (site) => writePostfixFiles(site, ports),
    start: 'postfix -c "$1/etc" start-fg',
    // Its master has left the keeper's process group.
    stop: 'postfix -c "$1/etc" stop',
    logFile: 'log/mail.log',
    queueFolders: ['queue/incoming', 'queue/active', 'queue/deferred'],
  });
  return { ...peer, ...ports };
}
