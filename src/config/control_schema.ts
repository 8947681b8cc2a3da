// The keys of the daemon's doors: control API, inbox folder and event log; one row each.
import * as z from 'zod';
import { listenOn } from './endpoint.ts';
import { expects, key } from './key.ts';
import { keyPlace, secret } from './secret.ts';
import { duration, flag, isHost, line, size, text, wholeNumber } from './value.ts';

const tlsSchema = z.strictObject({
  key: key(keyPlace(), { sentence: 'Private key, PEM.', secret: true }),
  cert: key(line('the path of a file'), 'Certificate chain, PEM, relative to this file.'),
});

export const controlSchema = z.strictObject({
  socket: key(line('the path of a socket').optional(), {
    sentence: 'Unix socket of the control API; who may write to it may do everything.',
    default: '`control.sock` in `$RUNTIME_DIRECTORY`, else in `state`',
  }),
  mode: key(
    expects(z.string().regex(/^0?[0-7]{3}$/), 'an octal mode such as "0660"').prefault('0660'),
    'Permissions of the socket.',
  ),
  listen: key(listenOn().optional(), {
    sentence: 'Where it listens on TCP as well; needs `token`.',
    default: 'only the socket',
  }),
  token: key(secret().optional(), {
    sentence: 'What TCP clients send as `Authorization: Bearer`: 16 characters or more.',
    default: 'needed with `listen`',
    secret: true,
  }),
  tls: key(tlsSchema.optional(), { sentence: 'TLS on the TCP listener.', default: 'none' }),
  allowPlaintext: key(
    flag().prefault(false),
    'Lets it listen beyond loopback without TLS, where something in front of it encrypts.',
  ),
  hosts: key(z.array(text(isHost, 'a host name')).max(100).prefault([]), {
    sentence: 'Names beside localhost under which TCP clients may ask.',
    default: 'none',
  }),
  origins: key(z.array(line('an origin such as https://ops.example.com')).max(100).prefault([]), {
    sentence: 'Web pages that may ask.',
    default: 'none',
  }),
});

export const inboxSchema = z.strictObject({
  directory: key(
    line('the path of a directory'),
    'Folder that campaigns are dropped into, by rename: a folder with campaign.yaml, or NAME.yaml with its list.',
  ),
  settle: key(
    duration('0s', '1h').prefault('2s'),
    'How long an entry must have stayed as it is: a guard for what is copied instead of renamed.',
  ),
});

export const eventsSchema = z.strictObject({
  directory: key(line('the path of a directory').optional(), {
    sentence: 'Folder of the event log that `serve` writes.',
    default: '`events` in `$LOGS_DIRECTORY`, else in `state`',
  }),
  maxSize: key(
    size('64KiB', '10GiB').prefault('100MiB'),
    'A file of the log is followed by the next when it is larger.',
  ),
  keepFiles: key(wholeNumber(2, 10_000).prefault(10), 'How many files are kept; the oldest go.'),
  recipients: key(
    flag().prefault(false),
    "Whether each recipient's outcome is an event, with the relay's reply: a line for every attempt.",
  ),
});
