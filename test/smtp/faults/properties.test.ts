// Whatever a relay does to its replies: nobody is accepted whom the model did not take, and nobody else's reply counts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseFault } from '../../../src/sandbox/fault_text.ts';
import type { SandboxOptions } from '../../../src/sandbox/options.ts';
import type { SendingMode } from '../../../src/smtp/dialogue.ts';
import { duel, numbered, octetByOctet, type Cut, type Duelled } from './duel.ts';

const mode = fc.constantFrom<SendingMode>('off', 'standard', 'deep');
const transactions = [1, 2, 3, 4, 5, 6, 7].map((number) => numbered(number));

/** What the relay says no to; its own good right. */
const refusal = fc.constantFrom(
  'mail every 3: 451 4.3.0 busy',
  'mail every 4: 550 5.1.8 not you',
  'rcpt r2@: 550 5.1.1 who',
  'rcpt r3@: 450 4.2.0 later',
  'rcpt r5@: 421 4.3.2 bye',
  'data r2@: 451 4.3.0 later',
  'data r4@: 554 5.7.1 no',
  'end r2@: 554 5.7.1 spam',
  'end r3@: 451 4.3.0 later',
  'end r6@: 421 4.3.2 bye',
  'rcpt r4@: 452 4.5.3 too many recipients',
  'rcpt r3@: 454 4.7.0 Throttling failure: Maximum sending rate exceeded',
  'end r2@: 503 5.5.1 out of order',
);
const place = fc.oneof(
  fc.constantFrom('mail', 'mail every 2', 'mail every 3'),
  fc.tuple(
    fc.constantFrom('rcpt', 'data', 'end'),
    fc.constantFrom('r1@', 'r2@', 'r3@', 'r4@', 'every 2', 'first'),
  ),
);
/** Whatever breaks the session where it strikes. */
const breakage = fc
  .tuple(
    place,
    fc.constantFrom(
      'drop',
      'silence',
      '421 4.3.2 bye',
      'garbage 25O OK\\r\\n',
      'garbage 850 hm\\r\\n',
      'garbage \\r\\n',
      'garbage 250-a\\r\\n251 b\\r\\n',
    ),
  )
  .map(([at, action]) => `${[at].flat().join(' ')}: ${action}`);
const lostMessage = fc.constantFrom('end r1@: drop-after-taken', 'end r3@: drop-after-taken');
/**
 * Whatever makes the number of replies wrong. Two of them may cancel each other out, so there is one at a time. Not to
 * be told from a good reply, and so not here: a 2yz between the end of data and its reply. Deep needs to tell the replies of
 * the stages apart, by enhanced statuses or by texts that stay the same; where a relay has neither, it has one transaction at
 * a time on the wire.
 */
const miscount = fc
  .tuple(
    place,
    fc.constantFrom(
      'extra 250 ok',
      'extra 200 hm',
      'extra 354 go',
      'extra 450 no',
      'extra 550 no',
      'extra 421 bye',
      'skip',
      'swap',
      'lose-rest',
    ),
  )
  .map(([at, action]) => ({ at: [at].flat().join(' '), action }))
  .map(({ at, action }) => `${at}: ${action}`);

const extensions: readonly SandboxOptions[] = [
  {},
  { extensions: ['PIPELINING', 'SIZE', 'CHUNKING', '8BITMIME'] },
];

function play(one: SendingMode, faults: readonly string[], options: SandboxOptions, cut?: Cut): Duelled {
  const sandbox = { ...options, faults: faults.map(parseFault) };
  return duel({ mode: one, transactions, sandbox, ...(cut === undefined ? {} : { cut }) });
}

/** The model's word against ours, row by row. */
function assertTruth({ settled, messages, stats }: Duelled): void {
  const taken = messages.flatMap((message) => message.recipients);
  assert.equal(new Set(taken).size, taken.length, 'nobody is sent to twice on a session');
  settled.forEach(({ transaction, kind, verdict }, index) => {
    assert.equal(transaction.number, index + 1, 'settled once each, in order');
    const isTaken = taken.includes(`r${transaction.number}@b.example`);
    if (kind !== 'inDoubt')
      assert.equal(kind === 'accepted', isTaken, `${transaction.number} ${kind} ${verdict.text}`);
  });
  assert.deepEqual(
    Object.entries(stats.violations).filter(([, count]) => count > 0),
    [],
  );
}

test('refusals, drops, silence and garbage at any place: accepted is who was taken, and nobody else', () => {
  fc.assert(
    fc.property(
      mode,
      fc.array(refusal, { maxLength: 3 }),
      fc.array(fc.oneof(breakage, lostMessage), { maxLength: 2 }),
      fc.constantFrom(...extensions),
      (one, refusals, breakages, options) => assertTruth(play(one, [...breakages, ...refusals], options)),
    ),
    { numRuns: 3000 },
  );
});

test('a reply too many, too few, too late or lost with its command: nobody gets another row’s outcome', () => {
  fc.assert(
    fc.property(
      mode,
      miscount,
      fc.array(refusal, { maxLength: 3 }),
      fc.constantFrom(...extensions),
      (one, wrong, refusals, options) =>
        assertTruth(play(one, [wrong, ...refusals], one === 'deep' ? {} : options)),
    ),
    { numRuns: 10_000 },
  );
});

test('in deep one reply too many is noticed before it stands for somebody else’s end of data', () => {
  for (const texts of [
    ['rcpt r4@: extra 250 ok', 'end r6@: 421 4.3.2 bye'],
    ['mail every 2: extra 250 ok', 'end r3@: 554 5.7.1 spam'],
    ['rcpt r2@: extra 550 no', 'end r3@: 554 5.7.1 spam'],
  ])
    assertTruth(play('deep', texts, {}));
});

test('F34: any split of the replies settles the same, octet by octet or at random', () => {
  fc.assert(
    fc.property(
      mode,
      fc.array(refusal, { maxLength: 3 }),
      fc.array(fc.oneof(breakage, lostMessage), { maxLength: 1 }),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 12 }),
      (one, refusals, breakages, sizes) => {
        const faults = [...breakages, ...refusals];
        const expected = summarise(play(one, faults, {}));
        assert.deepEqual(summarise(play(one, faults, {}, octetByOctet)), expected);
        assert.deepEqual(summarise(play(one, faults, {}, cutAt(sizes))), expected);
      },
    ),
    { numRuns: 400 },
  );
});

test('any split of what we write is answered the same', () => {
  fc.assert(
    fc.property(mode, fc.array(refusal, { maxLength: 3 }), (one, refusals) => {
      const sandbox = { faults: refusals.map(parseFault) };
      const expected = summarise(duel({ mode: one, transactions, sandbox }));
      assert.deepEqual(
        summarise(duel({ mode: one, transactions, sandbox, cutOutput: octetByOctet })),
        expected,
      );
    }),
    { numRuns: 150 },
  );
});

function summarise({ settled, failure }: Duelled): unknown {
  return [settled.map(({ transaction, kind, verdict }) => [transaction.number, kind, verdict]), failure];
}

/** Pieces of these sizes, over and over. */
function cutAt(sizes: readonly number[]): Cut {
  return (octets) => {
    const pieces: Buffer[] = [];
    for (let at = 0; at < octets.length;) {
      const size = sizes[pieces.length % sizes.length] ?? 1;
      pieces.push(octets.subarray(at, at + size));
      at += size;
    }
    return pieces;
  };
}
