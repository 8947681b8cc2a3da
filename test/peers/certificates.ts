// The certificates of a peer: an authority of our own and what it signed, as companies have them for their relays.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

const freshKey = [
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

/** Makes ca.pem, server.pem and server.key in a new folder. They are good for 127.0.0.1 and not for localhost. */
export function makeCertificates(folder: string): void {
  mkdirSync(folder);
  const run = (...args: string[]): void => {
    execFileSync('openssl', [...freshKey, ...args], { cwd: folder, stdio: 'pipe' });
  };
  const authority = ['-subj', '/CN=Peer test authority', '-addext', 'keyUsage=keyCertSign'];
  run('-keyout', 'ca.key', '-out', 'ca.pem', ...authority);
  const names = ['-subj', '/CN=mail.peer.test', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:mail.peer.test'];
  const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', 'basicConstraints=critical,CA:FALSE'];
  run('-keyout', 'server.key', '-out', 'server.pem', ...names, ...signer);
}
