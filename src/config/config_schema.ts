// The keys of the configuration file: one row each.
import { isIP } from 'node:net';
import * as z from 'zod';
import { dkimSchema } from './dkim_schema.ts';
import { expects, key } from './key.ts';
import { lanesSchema } from './lanes_schema.ts';
import { relayName, relaySchema } from './relay_schema.ts';
import { burst, choice, duration, isHost, keepTime, line, rates } from './value.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** Where a listener listens. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export const configSchema = z.strictObject({
  state: key(line('the path of a directory').optional(), {
    sentence: 'Directory of the ledger and the journals, relative to this file.',
    default: '`.posthaste` in the working directory',
  }),
  durability: key(
    choice(['process', 'power']).prefault('process'),
    'What survives: the death of the process, or a power cut as well, at the price of syncing to disk before each group of sends.',
  ),
  keep: key(
    keepTime().prefault('forever'),
    'How long the rows of finished campaigns are kept; after that only name, digests and sums are. Nothing is deleted unless this says so, for results may be asked for late, and who got what cannot be known again.',
  ),
  threads: key(
    expects(
      z.union([z.literal('auto'), z.int().min(1).max(256)]),
      'auto or a whole number from 1 to 256',
    ).prefault('auto'),
    'Worker threads; auto is one less than there are cores, at least 1.',
  ),
  drainTimeout: key(
    duration('0s', '1h').prefault('30s'),
    'How long a first SIGTERM or SIGINT waits for what is in flight; then sessions are cut, and whose reply was still to come is in doubt.',
  ),
  rate: key(rates().optional(), {
    sentence: 'Limit of all that is sent, or several, over all relays and campaigns.',
    default: 'no limit',
  }),
  burst: key(burst().optional(), {
    sentence: 'Messages that may go at once after a silence, within `rate`.',
    default: 'an even pace',
  }),
  lanes: key(lanesSchema.optional(), {
    sentence:
      'Lanes: recipients’ domains that share limits of their own, so that a slow provider never delays the others.',
    default: 'one lane',
  }),
  metrics: key(
    z
      .strictObject({
        listen: key(listenOn(), 'Where Prometheus finds `/metrics`; a port alone is on 127.0.0.1.'),
      })
      .optional(),
    { sentence: 'Metrics for Prometheus.', default: 'no listener' },
  ),
  log: key(
    z
      .strictObject({ level: key(choice(logLevels).prefault('info'), 'Least severity that is logged.') })
      .prefault({}),
    'The log on stderr.',
  ),
  relays: key(
    z.record(relayName(), relaySchema).prefault({}),
    'Relays by name; campaigns name the one they go to.',
  ),
  dkim: key(
    z.array(dkimSchema).max(100).prefault([]),
    'Keys that messages are signed with (DKIM). Of one domain all sign: an RSA and an Ed25519 key give two signatures.',
  ),
});

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
