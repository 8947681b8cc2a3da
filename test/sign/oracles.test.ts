// Whatever is signed verifies, by two verifiers that are not ours.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createSigner } from '../../src/sign/signer.ts';
import { skipUnlessDkimpy, verifyByDkimpy } from './dkimpy.ts';
import { makeEd25519Key, makeRsaKey, recordsOf } from './keys.ts';
import { verifyByMailauth } from './mailauth.ts';
import { anyMessage, composedMessage } from './messages.ts';

const domain = 'mail.example.com';
const at = Date.UTC(2026, 8, 1, 9, 30, 0, 999);
const keys = [makeRsaKey(domain), makeEd25519Key(domain), makeRsaKey(domain, 'small.2026', 1024)];
const records = recordsOf(keys);
const allPass = keys.map(() => 'pass');
/** One signer for all, as a thread has one for a campaign. */
const signer = createSigner(keys);

const sources = [
  ['a composed message', composedMessage],
  ['any message of the contract', anyMessage],
] as const;

for (const [what, messages] of sources) {
  test(`${what} verifies with mailauth, with both algorithms at once`, async () => {
    await fc.assert(
      fc.asyncProperty(messages, async (message) => {
        assert.deepEqual(await verifyByMailauth(signer.sign(message, at) + message, records), allPass);
      }),
      { numRuns: 300 },
    );
  });

  test(`${what} verifies with dkimpy, with both algorithms at once`, { skip: skipUnlessDkimpy }, () => {
    const seed = Date.now();
    const many = fc.sample(messages, { numRuns: 300, seed });
    const signed = many.map((message) => signer.sign(message, at) + message);
    for (const [index, results] of verifyByDkimpy(signed, records).entries())
      assert.deepEqual(results, allPass, `seed ${seed}: ${JSON.stringify(many[index])}`);
  });
}

test('what a signer has signed before makes no difference', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(composedMessage, anyMessage), { maxLength: 6 }), (many) => {
      const used = createSigner(keys.slice(1));
      for (const message of many) {
        assert.equal(used.sign(message, at), createSigner(keys.slice(1)).sign(message, at));
      }
    }),
  );
});
