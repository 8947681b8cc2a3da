// The keys of an entry of `dkim`: one row each.
import * as z from 'zod';
import { parseAddress } from '../mail/address.ts';
import { expects, key } from './key.ts';
import { keyPlace } from './secret.ts';
import { text } from './value.ts';

export const dkimSchema = z.strictObject({
  domain: key(
    domain(),
    'Domain that signs (`d=`): messages from it, and from the domains below it that have no key of their own.',
  ),
  selector: key(
    text(isSelector, 'a selector such as s2026 (RFC 6376 §3.1)'),
    'Selector (`s=`): the public key is the TXT record `SELECTOR._domainkey.DOMAIN`.',
  ),
  key: key(keyPlace(), {
    sentence: 'Private key, PEM (PKCS#8 or PKCS#1), not encrypted: RSA of 1024 to 4096 bits, or Ed25519.',
    secret: true,
  }),
});

export type WrittenDkim = z.output<typeof dkimSchema>;

/** In lower case, as A-labels (RFC 6376 §3.5): what the From field's domain is compared with. */
function domain() {
  const schema = z.string().transform((written, context): string => {
    const parsed = parseAddress(`x@${written}`);
    if (parsed.kind === 'address' && !parsed.domain.startsWith('[')) return parsed.domain;
    context.addIssue({ code: 'custom', message: '' });
    return z.NEVER;
  });
  return expects(schema, 'a domain such as example.com');
}

/** RFC 6376 §3.1: sub-domain *( "." sub-domain ), which RFC 5321 §4.1.2 writes without underscores. */
function isSelector(value: string): boolean {
  const label = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
  return value.length <= 200 && value.split('.').every((part) => label.test(part));
}
