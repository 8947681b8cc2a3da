// Where a listener listens: an address and a port.
import { isIP } from 'node:net';
import * as z from 'zod';
import { expects } from './key.ts';
import { isHost } from './value.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** "127.0.0.1:9464", "[::1]:9464", "9464"; port 0 lets the system choose. */
export function listenOn() {
  const schema = z.union([z.int().min(0).max(65_535), z.string()]).transform((written, context): Endpoint => {
    const endpoint = parseEndpoint(String(written));
    if (endpoint !== undefined) return endpoint;
    context.addIssue({ code: 'custom', message: '' });
    return z.NEVER;
  });
  return expects(schema, 'HOST:PORT such as 127.0.0.1:9464, or a port');
}

function parseEndpoint(written: string): Endpoint | undefined {
  const [, bracketed, plain, digits] = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(written) ?? [];
  const host = bracketed ?? (plain === undefined || plain === '' ? '127.0.0.1' : plain);
  const port = Number(digits);
  const isRight = bracketed === undefined ? isHost(host) : isIP(bracketed) === 6;
  return isRight && port <= 65_535 ? { host, port } : undefined;
}
