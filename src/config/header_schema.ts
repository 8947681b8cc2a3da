// The keys of a campaign file that say what stands in the header and on the envelope: one row each.
import * as z from 'zod';
import { expects, key } from './key.ts';
import { keyPlace } from './secret.ts';
import { choice, flag, line, text } from './value.ts';

const unsubscribeSchema = z.strictObject({
  url: key(
    text(
      isHttpsTemplate,
      'a Liquid template of a URL that begins with https:// or with a merge field',
    ).optional(),
    {
      sentence:
        'Liquid template of the https URL that unsubscribes. Merge fields are URL-encoded, unless they are the start of the URL or end in `url_encode`.',
      default: 'none',
    },
  ),
  mailto: key(line('an address such as unsubscribe@example.com?subject=stop').optional(), {
    sentence:
      'Liquid template of the address that unsubscribes, perhaps with `?subject=…`; merge fields are URL-encoded.',
    default: 'none',
  }),
  oneClick: key(
    flag().prefault(true),
    'Whether a POST to the URL unsubscribes (RFC 8058), as Gmail and Yahoo require of bulk mail.',
  ),
});

const verpSchema = z.strictObject({
  secret: key(keyPlace(), {
    sentence:
      'Key of the MAC, at least 16 characters; who has it can make up bounces. Keep it: bounces come for days.',
    secret: true,
  }),
});

const notices = z.array(choice(['success', 'failure', 'delay'])).min(1);

const dsnSchema = z.strictObject({
  ret: key(choice(['hdrs', 'full']).optional(), {
    sentence: 'How much of the message a bounce brings back (RET).',
    default: "the relay's",
  }),
  notify: key(
    expects(
      z.union([z.literal('never'), notices]),
      'never, or a list of success, failure and delay',
    ).optional(),
    { sentence: 'When somebody is told (NOTIFY).', default: "the relay's" },
  ),
  envid: key(flag().prefault(true), 'Whether bounces carry a mark of campaign and row (ENVID).'),
  orcpt: key(flag().prefault(true), 'Whether bounces carry the address as we gave it (ORCPT).'),
});

/** Who a message is from and to. */
export const mailboxKeys = {
  to: key(line('a Liquid template such as "{{ first_name }} {{ last_name }}"').optional(), {
    sentence: 'Liquid template of the display name in the To field.',
    default: 'the address alone',
  }),
  replyTo: key(line('a mailbox such as Help <help@example.com>').optional(), {
    sentence: 'Liquid template of the Reply-To field; what it gives must be a mailbox.',
    default: 'no such field',
  }),
  sender: key(line('a mailbox such as Shop <shop@example.com>').optional(), {
    sentence: 'Mailbox of the Sender field, where From is somebody else.',
    default: 'no such field',
  }),
};

/** What mailbox providers and programs read. */
export const listKeys = {
  listId: key(line('a list identifier such as News <news.example.com>').optional(), {
    sentence: 'List-Id (RFC 2919).',
    default: 'no such field',
  }),
  unsubscribe: key(
    unsubscribeSchema.optional(),
    'How to unsubscribe: List-Unsubscribe and List-Unsubscribe-Post.',
  ),
  feedbackId: key(line('a Liquid template such as "spring:newsletter:shop"').optional(), {
    sentence: "Liquid template of Feedback-ID, by which Gmail's Postmaster Tools group complaints.",
    default: 'no such field',
  }),
  precedence: key(choice(['bulk', 'list', 'junk']).optional(), {
    sentence: 'Precedence; `bulk` keeps some vacation programs quiet.',
    default: 'no such field',
  }),
  autoSubmitted: key(choice(['no', 'auto-generated', 'auto-replied']).optional(), {
    sentence: 'Auto-Submitted (RFC 3834 §5).',
    default: 'no such field',
  }),
};

/** What the envelope asks of the relay. */
export const envelopeKeys = {
  verp: key(
    verpSchema.optional(),
    'A reverse-path for every row: bounces@example.com becomes bounces+TOKEN@example.com.',
  ),
  dsn: key(dsnSchema.optional(), 'Delivery status notifications (RFC 3461), from relays that offer DSN.'),
  requireTls: key(
    flag().prefault(false),
    'Sends with REQUIRETLS (RFC 8689), and not at all over a relay that does not offer it.',
  ),
};

function isHttpsTemplate(value: string): boolean {
  // oxlint-disable-next-line no-control-regex -- they are what it looks for
  return /^(?:https:\/\/|\{\{|\{%)/i.test(value) && !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(value);
}
