// The limits of From domains: one that is new to the world is warmed up, whatever relay its mail goes by.
import * as z from 'zod';
import type { Pace } from '../base/quantity.ts';
import { parseAddress } from '../mail/address.ts';
import { key } from './key.ts';
import { readWarmUp, type WarmUp } from './read_warm_up.ts';
import { burst, byteRates, paceOf, rates, text } from './value.ts';
import { warmUpSchema } from './warm_up_schema.ts';

const fromDomainSchema = z.strictObject({
  rate: key(rates().optional(), {
    sentence: 'Limit of messages from this domain, or several, over all relays and campaigns.',
    default: 'no limit',
  }),
  burst: key(burst().optional(), {
    sentence: 'Messages that may go at once after a silence, within `rate`.',
    default: 'an even pace',
  }),
  bytes: key(byteRates().optional(), {
    sentence: 'Limit of the bytes of messages from this domain, or several; see `bytes`.',
    default: 'no limit',
  }),
  warmUp: key(warmUpSchema.optional(), {
    sentence: 'How many messages from this domain may go on each of its first days; counts over restarts.',
    default: 'no plan',
  }),
});

export const fromDomainsSchema = z.record(
  text(isDomain, 'a domain such as mail.example.com'),
  fromDomainSchema,
);

/** What a campaign's From field names behind the @, with its limits. */
export interface FromDomainConfig {
  /** In lower case, as A-labels. */
  readonly name: string;
  readonly pace: Pace;
  readonly warmUp?: WarmUp | undefined;
}

export function readFromDomains(written: z.output<typeof fromDomainsSchema>): FromDomainConfig[] {
  return Object.entries(written).map(([name, limits]) => ({
    name: normaliseDomain(name) ?? name,
    pace: paceOf(limits),
    warmUp: readWarmUp(limits.warmUp).warmUp,
  }));
}

function isDomain(written: string): boolean {
  return normaliseDomain(written) !== undefined;
}

/** As addresses have it once they are parsed. */
function normaliseDomain(written: string): string | undefined {
  const parsed = parseAddress(`x@${written}`);
  return parsed.kind === 'address' && !parsed.domain.startsWith('[') ? parsed.domain : undefined;
}
