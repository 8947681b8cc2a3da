// The keys of a warm-up: one row each.
import * as z from 'zod';
import { isZone } from '../base/zone.ts';
import { expects, key } from './key.ts';
import { text, wholeNumber } from './value.ts';

export const warmUpSchema = z.strictObject({
  start: key(day(), 'The first day.'),
  timezone: key(text(isZone, 'an IANA timezone such as Europe/Berlin').prefault('UTC'), {
    sentence: 'On whose clocks a day begins.',
  }),
  volumes: key(
    z.array(wholeNumber(1, 1_000_000_000)).min(1).max(365),
    'How many messages may go on each day from the first one on, such as [50, 100, 500, 1000]. Before it nothing goes, behind the last there is no limit.',
  ),
});

/** A date, as the ms since the epoch of its midnight in UTC. */
function day() {
  const schema = z.iso.date().transform((written) => Date.parse(`${written}T00:00:00Z`));
  return expects(schema, 'a date such as 2026-12-01, in quotes');
}
