// The keys of lanes: one row each.
import { isIP } from 'node:net';
import * as z from 'zod';
import { expects, key } from './key.ts';
import { burst, byteRates, choice, duration, isHost, rates, text, wholeNumber } from './value.ts';

const laneGroupSchema = z.strictObject({
  domains: key(z.array(domainPattern()).min(1).max(10_000).optional(), {
    sentence: 'Recipients’ domains; `*.example.com` is all below example.com.',
    default: 'those of the provider of that name in config/lanes.yaml',
  }),
  mx: key(z.array(domainPattern()).min(1).max(1000).optional(), {
    sentence:
      'With `lanes.mx`: hosts that take the mail of other domains, so that these are of this lane; written as `domains`.',
    default: 'where it names no domains, those of the provider of that name',
  }),
  rate: key(rates().optional(), {
    sentence: 'Limit of messages, or several; those of hours and days count over restarts.',
    default: 'no limit',
  }),
  burst: key(burst().optional(), {
    sentence: 'Messages that may go at once after a silence, within `rate`.',
    default: 'an even pace',
  }),
  bytes: key(byteRates().optional(), {
    sentence: 'Limit of the bytes of this lane’s messages, or several; see `bytes`.',
    default: 'no limit',
  }),
  maxConnections: key(wholeNumber(1, 1000).optional(), {
    sentence: 'Messages of this lane under way at one time, and so the sessions that carry it.',
    default: "the relay's",
  }),
});

/** A file of groups such as config/lanes.yaml: whose domains are which, and who takes the mail of others. */
export const providersSchema = z.record(
  laneName(),
  z.strictObject({
    domains: z.array(domainPattern()).prefault([]),
    mx: z.array(domainPattern()).prefault([]),
  }),
);

const mxSchema = z.strictObject({
  servers: key(z.array(dnsServer()).min(1).max(8).optional(), {
    sentence: 'DNS servers to ask.',
    default: "the system's",
  }),
  timeout: key(
    duration('50ms', '30s').prefault('2s'),
    'A domain whose look-up takes longer has the lane that it has by its name.',
  ),
  maxLookUps: key(wholeNumber(1, 1000).prefault(64), 'Look-ups under way at one time.'),
});

export const lanesSchema = z.strictObject({
  others: key(
    choice(['shared', 'domain']).prefault('shared'),
    'Domains of no group: in one lane, or each in a lane of its own.',
  ),
  mx: key(
    z.union([z.literal(true), z.literal(false), mxSchema]).prefault(false),
    'Whether the MX of domains that no group names is looked up, for whose servers take their mail: such a domain is of that group.',
  ),
  groups: key(
    z.record(laneName(), laneGroupSchema).prefault({}),
    'Lanes by name, with their limits. Those of `other` are for domains of no group, each lane for itself.',
  ),
});

/** What `mx: true` stands for. */
export const usualMx = mxSchema.parse({});

export type WrittenLanes = z.output<typeof lanesSchema>;
export type WrittenProviders = z.output<typeof providersSchema>;

/** Names have no dot, so that none is a domain. */
function laneName() {
  const schema = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/);
  return expects(schema, 'at most 63 lower-case letters, digits, "-" and "_"');
}

function domainPattern() {
  return text(
    (value) => isHost(value.startsWith('*.') ? value.slice(2) : value) && value === value.toLowerCase(),
    'a domain in lower case such as example.com, or *.example.com for all below it',
  );
}

/** As `dns.Resolver.setServers` takes it. */
function dnsServer() {
  return text(isDnsServer, 'an IP address such as 192.0.2.1, 192.0.2.1:5353 or "[2001:db8::1]:5353"');
}

function isDnsServer(written: string): boolean {
  if (isIP(written) !== 0) return !written.includes('%');
  const [, six, four = '', port] = /^(?:\[([^\]%]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(written) ?? [];
  const isAddress = six === undefined ? isIP(four) === 4 : isIP(six) === 6;
  return isAddress && Number(port) >= 1 && Number(port) <= 65_535;
}
