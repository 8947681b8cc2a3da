// The keys of a campaign's `pauseAbove`: one row each.
import * as z from 'zod';
import { key } from './key.ts';
import { number, wholeNumber } from './value.ts';

export const pauseSchema = z.strictObject({
  senderRefusals: key(
    wholeNumber(1, 100_000).prefault(10),
    'Refusals in a row that are for the sender’s sake, such as unauthenticated mail or DMARC: everybody else would meet the same.',
  ),
  rejected: key(number(0, 1).optional(), {
    sentence: 'Share of the last `of` recipients that were rejected; 0.2 is 20 %.',
    default: 'no limit',
  }),
  complaints: key(number(0, 1).optional(), {
    sentence:
      'Share of the last `of` accepted messages that somebody complained of; 0.003 is 0.3 %. Complaints are told with `posthaste complaints` or by the API.',
    default: 'no limit',
  }),
  of: key(
    wholeNumber(10, 1_000_000).prefault(500),
    'How many recipients `rejected` and `complaints` are shares of.',
  ),
});

export type PauseRules = z.output<typeof pauseSchema>;
