// SOCKS5: opens a connection to a relay through a proxy (RFC 1928, RFC 1929).
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { messageOf } from '../base/error.ts';

/** Who opens the connection, for whom, and how long it may take. */
export interface SocksRequest {
  readonly proxy: {
    readonly host: string;
    readonly port: number;
    readonly user?: string | undefined;
    readonly pass?: string | undefined;
  };
  /** A name is resolved by the proxy. */
  readonly host: string;
  readonly port: number;
  readonly localAddress?: string | undefined;
  readonly timeoutMs: number;
}

/** Why there is no connection. Its message holds no credentials. */
export class SocksError extends Error {
  /** The proxy does not let us in with these credentials, or without any. */
  readonly refusesCredentials: boolean;

  constructor(message: string, refusesCredentials = false) {
    super(message);
    this.refusesCredentials = refusesCredentials;
  }
}

const socksVersion = 5;
const noCredentials = 0;
const userAndPassword = 2;

/** RFC 1928 §6. */
const refusals: Readonly<Record<number, string>> = {
  1: 'general failure',
  2: 'its rules do not allow the connection',
  3: 'the network is unreachable',
  4: 'the host is unreachable',
  5: 'the connection was refused',
  6: 'the time to live ran out',
  7: 'it does not know CONNECT',
  8: 'it does not know this type of address',
};

/**
 * Resolves with a connected socket without listeners; what the relay has sent already is still in it. Rejects with
 * SocksError, and leaves no socket behind.
 */
export async function openSocksTunnel(request: SocksRequest): Promise<Socket> {
  const { proxy, localAddress } = request;
  const signal = AbortSignal.timeout(request.timeoutMs);
  const socket = connect({
    host: proxy.host,
    port: proxy.port,
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  try {
    await once(socket, 'connect', { signal });
    await logIn(socket, request, signal);
    await askForRelay(socket, request, signal);
    return socket;
  } catch (error) {
    // A late reset must not become an unhandled event.
    socket.on('error', () => {});
    socket.destroy();
    if (error instanceof SocksError) throw error;
    throw new SocksError(signal.aborted ? 'no answer in time' : messageOf(error));
  }
}

/** RFC 1928 §3, RFC 1929 §2. */
async function logIn(socket: Socket, { proxy }: SocksRequest, signal: AbortSignal): Promise<void> {
  const { user, pass = '' } = proxy;
  const methods = user === undefined ? [noCredentials] : [noCredentials, userAndPassword];
  socket.write(Buffer.from([socksVersion, methods.length, ...methods]));
  const chosen = await readOctets(socket, 2, signal);
  if (chosen[0] !== socksVersion) throw new SocksError('this is no SOCKS5 proxy');
  if (chosen[1] === noCredentials) return;
  if (chosen[1] !== userAndPassword || user === undefined) {
    throw new SocksError('it accepts none of our ways to log in', true);
  }
  socket.write(Buffer.concat([Buffer.from([1]), withLength(user), withLength(pass)]));
  const verdict = await readOctets(socket, 2, signal);
  if (verdict[1] !== 0) throw new SocksError('it refuses the user and password', true);
}

/** RFC 1928 §4, §6. */
async function askForRelay(socket: Socket, request: SocksRequest, signal: AbortSignal): Promise<void> {
  const port = Buffer.alloc(2);
  port.writeUInt16BE(request.port);
  socket.write(Buffer.concat([Buffer.from([socksVersion, 1, 0]), writeHost(request.host), port]));
  const head = await readOctets(socket, 5, signal);
  const code = head[1] ?? 1;
  if (head[0] !== socksVersion) throw new SocksError('this is no SOCKS5 proxy');
  if (code !== 0) throw new SocksError(refusals[code] ?? `it refuses with code ${code}`);
  // Of the address that it connected from one octet is read already; the port follows.
  await readOctets(socket, addressLength(head[3] ?? 0, head[4] ?? 0) - 1 + 2, signal);
}

/** Octets of BND.ADDR by its type; a domain has its length before it. */
function addressLength(type: number, firstOctet: number): number {
  if (type === 1) return 4;
  if (type === 4) return 16;
  if (type === 3) return 1 + firstOctet;
  throw new SocksError('this is no SOCKS5 proxy');
}

/** Type and octets: 1 IPv4, 3 a domain, 4 IPv6. */
function writeHost(host: string): Buffer {
  switch (isIP(host)) {
    case 4:
      return Buffer.from([1, ...host.split('.').map(Number)]);
    case 6:
      return Buffer.concat([Buffer.from([4]), parseIpv6(host)]);
    default:
      return Buffer.concat([Buffer.from([3]), withLength(host)]);
  }
}

/** URL does away with all ways of writing an IPv6 address but `::`. */
function parseIpv6(host: string): Buffer {
  const halves = new URL(`http://[${host}]`).hostname.slice(1, -1).split('::');
  const [head = [], tail = []] = halves.map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return Buffer.from([...head, ...zeros, ...tail].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function withLength(text: string): Buffer {
  const octets = Buffer.from(text);
  if (octets.length > 255) throw new SocksError('SOCKS5 has no room for a name of more than 255 octets');
  return Buffer.concat([Buffer.from([octets.length]), octets]);
}

/** Reads so many octets and not one more: what follows belongs to the session. */
async function readOctets(socket: Socket, count: number, signal: AbortSignal): Promise<Buffer> {
  for (;;) {
    const chunk: unknown = socket.read(count);
    if (chunk instanceof Buffer && chunk.length === count) return chunk;
    if (chunk !== null || socket.readableEnded || socket.destroyed) {
      throw new SocksError('it closed the connection');
    }
    await once(socket, 'readable', { signal });
  }
}
