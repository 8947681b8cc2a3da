// Which header fields a signature covers, and how often it names them.

/**
 * sealed: named once more than the message has it, be that zero times, so that nobody can add one (RFC 6376 §5.4.2,
 * §8.15). sealedWhereUsed: the same for messages that have it; those that do not have it leave it to others.
 */
type Cover = 'sealed' | 'sealedWhereUsed';

/**
 * RFC 6376 §5.4.1 recommends the fields that say who writes to whom, when and about what. The Content-* fields and
 * MIME-Version are here for the reason of §8.15: a second one changes what the same bytes show. Not here are those that
 * relays add or rewrite (Received, Return-Path: §5.4), and a campaign's X-fields, which show nothing.
 *
 * Sealed are fields that no relay adds to a message like ours. The others some relays do add, for good reasons: Exim in
 * its submission mode writes Sender where the login is not the From address, providers add Feedback-ID, List-Unsubscribe
 * and other List-* fields of their own. Sealing their absence would break our signature there, and gain little: programs
 * act on List-Unsubscribe-Post only where a signature covers it (RFC 8058 §4), and ours names nothing that was not there.
 */
const covers: readonly (readonly [name: string, cover: Cover])[] = [
  ['From', 'sealed'],
  ['Sender', 'sealedWhereUsed'],
  ['Reply-To', 'sealed'],
  ['To', 'sealed'],
  ['Cc', 'sealed'],
  ['Subject', 'sealed'],
  ['Date', 'sealed'],
  ['Message-ID', 'sealed'],
  ['In-Reply-To', 'sealed'],
  ['References', 'sealed'],
  ['MIME-Version', 'sealed'],
  ['Content-Type', 'sealed'],
  ['Content-Transfer-Encoding', 'sealed'],
  ['Feedback-ID', 'sealedWhereUsed'],
  ['List-Id', 'sealedWhereUsed'],
  ['List-Unsubscribe', 'sealedWhereUsed'],
  ['List-Unsubscribe-Post', 'sealedWhereUsed'],
  ['List-Help', 'sealedWhereUsed'],
  ['List-Subscribe', 'sealedWhereUsed'],
  ['List-Post', 'sealedWhereUsed'],
  ['List-Owner', 'sealedWhereUsed'],
  ['List-Archive', 'sealedWhereUsed'],
];

const ranks = new Map(covers.map(([name], rank) => [name.toLowerCase(), rank]));

/** The place of a field among the signed ones, by its name in lower case; undefined for one that is not signed. */
export function rankOf(name: string): number | undefined {
  return ranks.get(name);
}

/** What of a header is signed. */
export interface Coverage {
  /** The names for "h=", in their order. */
  readonly names: readonly string[];
  /** Indexes of the fields that they stand for: of several with one name the last one first (RFC 6376 §5.4.2). */
  readonly order: readonly number[];
}

/** Covers a header, given the rank of each of its fields. */
export function coverFields(fieldRanks: readonly (number | undefined)[]): Coverage {
  const names: string[] = [];
  const order: number[] = [];
  for (const [rank, [name, cover]] of covers.entries()) {
    const present = fieldRanks.flatMap((one, index) => (one === rank ? [index] : []));
    if (present.length === 0 && cover === 'sealedWhereUsed') continue;
    names.push(name, ...present.map(() => name));
    order.push(...present.toReversed());
  }
  return { names, order };
}
