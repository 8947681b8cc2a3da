// The first oracle: mailauth verifies, by the letter of the RFCs, with records from a table instead of the DNS.
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import type { Records } from './keys.ts';

/** One word for each DKIM-Signature of a message, in their order: "pass", or what is wrong. */
export async function verifyByMailauth(message: string, records: Records): Promise<string[]> {
  const resolver = (name: string): Promise<string[][]> => {
    const record = records.get(name);
    if (record !== undefined) return Promise.resolve([[record]]);
    return Promise.reject(Object.assign(new Error(`no record ${name}`), { code: 'ENOTFOUND' }));
  };
  const { results } = await dkimVerify(Buffer.from(message, 'latin1'), { resolver, strict: true });
  return results.map(({ status }) =>
    status.result === 'pass' ? 'pass' : `${status.result}: ${String(status.comment)}`,
  );
}
