// The keys of a campaign's `retry`: one row each.
import * as z from 'zod';
import { key } from './key.ts';
import { duration, number } from './value.ts';

const longest = '30d';

/** What one category of replies may have of its own. */
const categorySchema = z.strictObject({
  first: key(duration('1ms', longest).optional(), {
    sentence: 'Delay before the second attempt.',
    default: 'see the category',
  }),
  factor: key(number(1, 100).optional(), {
    sentence: 'By which each further delay is longer.',
    default: '`retry.factor`',
  }),
  max: key(duration('1ms', longest).optional(), { sentence: 'Longest delay.', default: '`retry.max`' }),
  giveUpAfter: key(duration('1ms', longest).optional(), {
    sentence: 'When a recipient is expired.',
    default: '`retry.giveUpAfter`',
  }),
});

/** By the names of the table of replies; what can be deferred for so long that it deserves a rule of its own. */
export const retryCategories = ['greylisted', 'mailbox-full', 'rate-limited', 'network'] as const;

export const retrySchema = z.strictObject({
  first: key(
    duration('1ms', '7d').prefault('5m'),
    'Delay before the second attempt. A delay that a reply names, such as “try again in 300 seconds”, is taken instead, up to `max`.',
  ),
  factor: key(number(1, 100).prefault(2), 'By which each further delay is longer.'),
  max: key(duration('1ms', longest).prefault('4h'), 'Longest delay.'),
  giveUpAfter: key(
    duration('1ms', longest).prefault('48h'),
    'Time after its first attempt at which a deferred recipient is expired.',
  ),
  jitter: key(number(0, 1).prefault(0.2), 'Share by which a delay may randomly be shorter or longer.'),
  greylisted: key(categorySchema.prefault({}), {
    sentence: 'What differs for greylisting; `first` is 1m, or `retry.first` where that is shorter.',
    default: '`first` only',
  }),
  'mailbox-full': key(categorySchema.prefault({}), {
    sentence: 'What differs for full mailboxes; `first` is 4h, or `retry.max` where that is shorter.',
    default: '`first` only',
  }),
  'rate-limited': key(categorySchema.prefault({}), {
    sentence:
      'What differs for mailboxes that get too much at the moment; a throttling relay charges nobody.',
    default: 'nothing',
  }),
  network: key(categorySchema.prefault({}), {
    sentence: 'What differs for domains that cannot be reached, and for broken connections.',
    default: 'nothing',
  }),
});
