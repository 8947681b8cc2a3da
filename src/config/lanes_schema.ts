// The keys of lanes: one row each.
import * as z from 'zod';
import { expects, key } from './key.ts';
import { burst, byteRates, choice, isHost, rates, text, wholeNumber } from './value.ts';

const laneGroupSchema = z.strictObject({
  domains: key(z.array(domainPattern()).min(1).max(10_000).optional(), {
    sentence: 'Recipients’ domains; `*.example.com` is all below example.com.',
    default: 'those of the provider of that name in config/lanes.yaml',
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

export const lanesSchema = z.strictObject({
  others: key(
    choice(['shared', 'domain']).prefault('shared'),
    'Domains of no group: in one lane, or each in a lane of its own.',
  ),
  groups: key(
    z.record(laneName(), laneGroupSchema).prefault({}),
    'Lanes by name, with their limits. Those of `other` are for domains of no group, each lane for itself.',
  ),
});

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
