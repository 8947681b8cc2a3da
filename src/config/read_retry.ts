// A campaign's `retry` becomes the schedule of its attempts.
import { tell, type Reading } from './reading.ts';
import type { retryCategories } from './retry_schema.ts';

/** How delays grow, and for how long there are attempts. */
interface RetryRule {
  readonly firstDelayMs: number;
  readonly factor: number;
  readonly maxDelayMs: number;
  readonly giveUpAfterMs: number;
}

/** When a deferred recipient is tried again. */
export interface CampaignRetry extends RetryRule {
  /** 0 to 1: the share of a delay that is random. */
  readonly jitter: number;
  readonly byCategory: Readonly<Record<(typeof retryCategories)[number], RetryRule>>;
}

const greylistedFirstMs = 60_000;
const mailboxFullFirstMs = 4 * 3_600_000;

export function readRetry(reading: Reading): CampaignRetry {
  const { first, factor, max, giveUpAfter, jitter } = reading.written.retry;
  const base = { firstDelayMs: first, factor, maxDelayMs: max, giveUpAfterMs: giveUpAfter };
  if (max < first)
    tell(reading, ['retry', 'max'], { what: 'is shorter than retry.first', expected: 'at least as long' });
  return {
    ...base,
    jitter,
    byCategory: {
      greylisted: readCategory(reading, 'greylisted', {
        ...base,
        firstDelayMs: Math.min(first, greylistedFirstMs),
      }),
      'mailbox-full': readCategory(reading, 'mailbox-full', {
        ...base,
        firstDelayMs: Math.min(max, mailboxFullFirstMs),
      }),
      'rate-limited': readCategory(reading, 'rate-limited', base),
      network: readCategory(reading, 'network', base),
    },
  };
}

function readCategory(
  reading: Reading,
  category: (typeof retryCategories)[number],
  usual: RetryRule,
): RetryRule {
  const { first, factor, max, giveUpAfter } = reading.written.retry[category];
  const maxDelayMs = max ?? Math.max(usual.maxDelayMs, first ?? 0);
  if (first !== undefined && maxDelayMs < first)
    tell(reading, ['retry', category, 'max'], {
      what: `is shorter than retry.${category}.first`,
      expected: 'at least as long',
    });
  return {
    firstDelayMs: first ?? Math.min(usual.firstDelayMs, maxDelayMs),
    factor: factor ?? usual.factor,
    maxDelayMs,
    giveUpAfterMs: giveUpAfter ?? usual.giveUpAfterMs,
  };
}
