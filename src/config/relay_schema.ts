// The keys of a relay, with nodemailer's names: one row each.
import * as z from 'zod';
import { expects, key } from './key.ts';
import { passwordMethods } from './relay_auth.ts';
import { warmUpSchema } from './warm_up_schema.ts';
import { keyPlace, secret } from './secret.ts';
import {
  burst,
  byteRates,
  choice,
  durationOrMs,
  flag,
  hostName,
  ipAddress,
  line,
  rates,
  text,
  wholeNumber,
} from './value.ts';

const authSchema = z.strictObject({
  user: key(secret(), 'User name; often an API key.'),
  pass: key(secret().optional(), {
    sentence: 'Password or API key.',
    default: 'needed unless `type` is OAuth2',
  }),
  method: key(choice(passwordMethods).optional(), {
    sentence: 'SASL mechanism.',
    default: 'the first of these that the relay offers',
  }),
  type: key(
    choice(['login', 'OAuth2']).prefault('login'),
    'login: user and password. OAuth2: an access token (XOAUTH2), renewed when it has expired or is refused.',
  ),
  clientId: key(secret().optional(), 'OAuth2: identifier of the application.'),
  clientSecret: key(secret().optional(), 'OAuth2: secret of the application, where it has one.'),
  refreshToken: key(secret().optional(), 'OAuth2: what access tokens are had for.'),
  accessToken: key(secret().optional(), 'OAuth2: access token to begin with.'),
  expires: key(
    wholeNumber(0, 8_640_000_000_000_000).optional(),
    'OAuth2: when `accessToken` ends, in milliseconds since the epoch.',
  ),
  accessUrl: key(text(isHttpUrl, 'an https URL').optional(), {
    sentence: 'OAuth2: where access tokens are had.',
    default: "Google's",
  }),
});

const tlsSchema = z.union([
  z.literal('none'),
  z.strictObject({
    ca: key(
      z
        .strictObject({
          file: key(
            line('the path of a file'),
            "PEM file of certificates to trust instead of the system's, relative to this file.",
          ),
        })
        .optional(),
      "Certificates to trust instead of the system's.",
    ),
    servername: key(hostName().optional(), {
      sentence: 'Name that the certificate must have.',
      default: '`host`',
    }),
    rejectUnauthorized: key(
      flag().prefault(true),
      'Whether the certificate must be valid; false is refused unless `development` is true.',
    ),
    minVersion: key(choice(['TLSv1.2', 'TLSv1.3']).prefault('TLSv1.2'), 'Oldest version of TLS to accept.'),
    cert: key(
      z
        .strictObject({
          file: key(
            line('the path of a file'),
            'PEM file of the certificate and its chain, relative to this file.',
          ),
        })
        .optional(),
      'Client certificate, for relays that want one.',
    ),
    key: key(keyPlace().optional(), 'Private key of the client certificate, PEM.'),
    passphrase: key(secret().optional(), 'Passphrase of the private key.'),
  }),
]);

const plainRelaySchema = z.strictObject({
  host: key(hostName().optional(), {
    sentence: 'Host name or IP address of the relay.',
    default: 'needed unless there is a `service`',
  }),
  service: key(line('the name of a service').optional(), {
    sentence:
      'Name of a service that nodemailer knows, such as gmail, instead of `host`, `port` and `secure`.',
    default: 'none',
  }),
  port: key(wholeNumber(1, 65_535).optional(), { sentence: 'TCP port.', default: '587, with `secure` 465' }),
  secure: key(flag().optional(), {
    sentence: 'TLS from the first byte instead of STARTTLS.',
    default: 'true on port 465',
  }),
  requireTLS: key(flag().optional(), {
    sentence: 'STARTTLS even where plain text would do; never given up.',
    default: 'true unless the host is loopback and there is no `auth`',
  }),
  ignoreTLS: key(
    flag().prefault(false),
    'No STARTTLS; on a host that is not loopback only together with `tls: none`.',
  ),
  auth: key(authSchema.optional(), { sentence: 'Credentials; never sent without TLS.', secret: true }),
  pool: key(
    expects(z.literal(true), 'true').prefault(true),
    "Accepted for the sake of nodemailer's options: sessions are always pooled.",
  ),
  maxConnections: key(wholeNumber(1, 10_000).prefault(5), 'Sessions at once, over all threads.'),
  maxMessages: key(
    wholeNumber(1, 1_000_000_000).prefault(100),
    'Messages after which a session is replaced.',
  ),
  rate: key(rates().optional(), {
    sentence:
      'Messages per second, minute, hour or day, or several of these. The shortest sets the pace, the others count; those of hours and days count over restarts.',
    default: 'no limit',
  }),
  burst: key(burst().optional(), {
    sentence: 'Messages that may go at once after a silence, such as the start, within `rate`.',
    default: 'an even pace',
  }),
  bytes: key(byteRates().optional(), {
    sentence:
      'Limit of the bytes of messages that this relay is given, or several; those of hours and days count over restarts. See `bytes` above.',
    default: 'no limit',
  }),
  connectionRate: key(rates().optional(), {
    sentence:
      'How many sessions may be opened in a time, such as 5/s or 60/m, or several of these; attempts that fail count. Open sessions work on meanwhile.',
    default: 'no limit',
  }),
  rateLimit: key(
    wholeNumber(1, 1_000_000_000).optional(),
    "nodemailer's limit: messages in every `rateDelta`. Instead of `rate`.",
  ),
  rateDelta: key(durationOrMs('1ms', '1d').optional(), {
    sentence: 'The time that `rateLimit` is about.',
    default: '1s',
  }),
  warmUp: key(warmUpSchema.optional(), {
    sentence: 'How much it may be given on each of its first days; counts over restarts.',
    default: 'no plan',
  }),
  pipelining: key(
    choice(['auto', 'off', 'standard', 'deep']).prefault('auto'),
    'auto and standard: one round trip a message where the relay offers PIPELINING; off: one command at a time; ' +
      'deep: several messages on the wire of a session at once where it offers CHUNKING, too, and after a drop that ' +
      'many may be in doubt.',
  ),
  inFlight: key(
    wholeNumber(1, 256).prefault(16),
    'With `pipelining: deep`: the most messages on the wire of a session.',
  ),
  name: key(text(isClientName, 'a host name or an address literal such as [192.0.2.1]').optional(), {
    sentence: 'Name for EHLO.',
    default: "the machine's",
  }),
  proxy: key(secret().optional(), {
    sentence:
      'URL of a proxy to connect through: `http://`, `https://` or `socks5://`, with user and password percent-encoded.',
    default: 'none',
    secret: true,
  }),
  localAddress: key(ipAddress().optional(), {
    sentence: 'Local address to connect from.',
    default: "the system's choice",
  }),
  connectionTimeout: key(durationOrMs('1ms', '1h').prefault('2m'), 'Longest wait for the TCP connection.'),
  greetingTimeout: key(durationOrMs('1ms', '1h').prefault('30s'), 'Longest wait for the greeting.'),
  socketTimeout: key(
    durationOrMs('1ms', '1h').prefault('5m'),
    'Longest wait for the reply to a command (RFC 5321 §4.5.3.2), but for the end of data.',
  ),
  endOfDataTimeout: key(
    durationOrMs('1ms', '1h').prefault('10m'),
    'Longest wait for the reply to the end of data (RFC 5321 §4.5.3.2.6); less than 10m risks messages in doubt.',
  ),
  tls: key(tlsSchema.optional(), 'What to trust; `none` sends without TLS to a host that is not loopback.'),
  development: key(
    flag().prefault(false),
    'A relay for development: permits `rejectUnauthorized: false`, with a warning at every start.',
  ),
});

/** The keys of a relay. That there is a host at all can be said only of all keys together. */
export const relaySchema = plainRelaySchema.superRefine((relay, context) => {
  if (relay.host !== undefined || relay.service !== undefined) return;
  context.addIssue({ code: 'custom', path: ['host'], message: '' });
});

/** A relay as it is written, checked key by key; what keys say together is checked by `completeRelay`. */
export type WrittenRelay = z.output<typeof relaySchema>;

/** Names go into metrics, results and file names. */
export function relayName() {
  const schema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/);
  return expects(schema, 'at most 63 letters, digits, "-", "_" and "."');
}

/** RFC 5321 §4.1.1.1: a domain or an address literal. */
function isClientName(value: string): boolean {
  return value.length <= 255 && /^(?:[A-Za-z0-9_.-]+|\[[A-Za-z0-9.:]+\])$/.test(value);
}

function isHttpUrl(value: string): boolean {
  return URL.canParse(value) && /^https?:$/.test(new URL(value).protocol) && !/\s/.test(value);
}
