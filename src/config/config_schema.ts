// The keys of the configuration file: one row each.
import * as z from 'zod';
import { controlSchema, eventsSchema, inboxSchema } from './control_schema.ts';
import { dkimSchema } from './dkim_schema.ts';
import { listenOn } from './endpoint.ts';
import { expects, key } from './key.ts';
import { lanesSchema } from './lanes_schema.ts';
import { fromDomainsSchema } from './from_domains.ts';
import { relayName, relaySchema } from './relay_schema.ts';
import { burst, byteRates, choice, duration, keepTime, line, rates } from './value.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export const configSchema = z.strictObject({
  state: key(line('the path of a directory').optional(), {
    sentence: 'Directory of the ledger and the journals, relative to this file.',
    default: '`$STATE_DIRECTORY`, which systemd sets, else `.posthaste` in the working directory',
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
  bytes: key(byteRates().optional(), {
    sentence:
      'Limit of the bytes of all messages that are sent, or several. Their size is that of their content, header and signatures among it; kB, MB and GB are 1000, KiB, MiB and GiB 1024 of the next smaller.',
    default: 'no limit',
  }),
  connectionRate: key(rates().optional(), {
    sentence: 'How many sessions may be opened in a time, over all relays, or several of these.',
    default: 'no limit',
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
      .strictObject({
        level: key(choice(logLevels).prefault('info'), 'Least severity that is logged.'),
        addresses: key(
          choice(['shown', 'hidden']).prefault('shown'),
          'hidden: recipients’ addresses in the log and in the event log keep their domain and are a short hash before it, the same for the same address until the process ends.',
        ),
      })
      .prefault({}),
    'The log on stderr.',
  ),
  control: key(controlSchema.prefault({}), { sentence: 'The control API of `serve`.' }),
  inbox: key(inboxSchema.optional(), { sentence: 'The inbox folder of `serve`.', default: 'none' }),
  events: key(eventsSchema.prefault({}), { sentence: 'The event log of `serve`.' }),
  relays: key(
    z.record(relayName(), relaySchema).prefault({}),
    'Relays by name; campaigns name the one they go to.',
  ),
  fromDomains: key(
    fromDomainsSchema.prefault({}),
    'Limits of what is sent from a domain, by the domain of campaigns’ From fields, just as it stands there.',
  ),
  dkim: key(
    z.array(dkimSchema).max(100).prefault([]),
    'Keys that messages are signed with (DKIM). Of one domain all sign: an RSA and an Ed25519 key give two signatures.',
  ),
});
