// Variants: each row has one, always the same, in the proportion of the shares.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { makeVariantChooser, nameVariants } from '../../src/mail/variant.ts';

function variantsOf(shares: readonly number[]) {
  return shares.map((share, index) => ({ name: `v${index}`, share }));
}

/** How many of the first rows get each variant. */
function count(campaign: string, shares: readonly number[], rows: number): number[] {
  const choose = makeVariantChooser(campaign, variantsOf(shares));
  const counts = shares.map(() => 0);
  for (let row = 1; row <= rows; row += 1) counts[choose(row)] = (counts[choose(row)] ?? 0) + 1;
  return counts;
}

test('rows are divided in the proportion of the shares, for any campaign', () => {
  const rows = 20_000;
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
      (name, shares) => {
        const total = shares.reduce((sum, share) => sum + share, 0);
        count(name, shares, rows).forEach((counted, index) => {
          const expected = (rows * (shares[index] ?? 0)) / total;
          // Six standard deviations.
          assert.ok(Math.abs(counted - expected) <= 6 * Math.sqrt(expected) + 1, `${counted} of ${expected}`);
        });
      },
    ),
    { numRuns: 50 },
  );
});

test('neighbouring rows are independent: pairs occur as often as they should', () => {
  const choose = makeVariantChooser('spring-sale', variantsOf([1, 1]));
  const pairs = [0, 0, 0, 0];
  for (let row = 1; row <= 40_000; row += 1) {
    const pair = choose(row) * 2 + choose(row + 1);
    pairs[pair] = (pairs[pair] ?? 0) + 1;
  }
  for (const counted of pairs) assert.ok(Math.abs(counted - 10_000) < 600, `${counted} of 10000`);
});

test('two campaigns divide the same list differently', () => {
  const [one, other] = ['spring', 'summer'].map((name) => makeVariantChooser(name, variantsOf([1, 1])));
  let same = 0;
  for (let row = 1; row <= 10_000; row += 1) if (one?.(row) === other?.(row)) same += 1;
  assert.ok(Math.abs(same - 5000) < 300, `${same} of 10000 rows are in the same variant`);
});

test('the assignment is the same in every version: a retry after an update gets the same wording', () => {
  const nameOf = nameVariants('spring-sale', variantsOf([1, 2, 1]));
  assert.equal(
    Array.from({ length: 16 }, (_, index) => nameOf?.(index + 1)).join(' '),
    'v1 v2 v1 v2 v0 v1 v2 v1 v2 v1 v2 v2 v1 v0 v0 v1',
  );
});

test('a campaign without variants names none', () => {
  assert.equal(nameVariants('spring-sale', undefined), undefined);
});
