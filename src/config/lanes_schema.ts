// The keys of lanes: one row each.
import * as z from 'zod';
import { expects, key } from './key.ts';
import { choice, flag, isHost, rate, size, text, wholeNumber } from './value.ts';

/** Of one lane, over all threads; each may be absent. */
const limitKeys = {
  rate: key(z.union([rate(), z.array(rate()).min(1).max(8)]).optional(), {
    sentence: 'Limit of messages, or several, such as [20/s, 50000/d].',
    default: 'no limit',
  }),
  bytesPerSecond: key(size('1kB', '10GiB').optional(), {
    sentence: 'Limit of octets a second.',
    default: 'no limit',
  }),
  maxConnections: key(wholeNumber(1, 1000).optional(), {
    sentence: "Sessions at one time that carry this lane, within the relay's.",
    default: "the relay's",
  }),
  newConnections: key(rate().optional(), {
    sentence: 'How often a session may be opened.',
    default: 'no limit',
  }),
};

export const laneGroupSchema = z.strictObject({
  domains: key(z.array(domainPattern()).max(10_000).prefault([]), 'Recipients’ domains.'),
  mx: key(
    z.array(domainPattern()).max(1000).prefault([]),
    'Host names of MX records: domains whose mail they take are of this lane.',
  ),
  ...limitKeys,
});

/** A file of groups such as config/lanes.yaml. */
export const laneGroupsSchema = z.record(laneName(), laneGroupSchema);

export const lanesSchema = z.strictObject({
  others: key(
    choice(['shared', 'domain']).prefault('shared'),
    'Domains of no group: in one lane, or each in a lane of its own.',
  ),
  providers: key(flag().prefault(true), 'Whether the groups of config/lanes.yaml are there, too.'),
  mx: key(
    flag().prefault(false),
    'With `others: domain`: whether MX records are looked up, so that domains of one operator share its limits.',
  ),
  groups: key(
    laneGroupsSchema.prefault({}),
    'Groups of domains by name; the limits of `other` are for all that is in no group.',
  ),
});

export type WrittenLaneGroup = z.output<typeof laneGroupSchema>;
export type WrittenLanes = z.output<typeof lanesSchema>;

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
