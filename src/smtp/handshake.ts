// The handshake: nodemailer connects, secures and authenticates; then the socket passes to us.
import type { Socket } from 'node:net';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { messageOf } from '../base/error.ts';
import type { Category, Stage, Verdict } from '../mail/verdict.ts';
import { parseExtensions, type Extensions } from './extensions.ts';
import type { RelayOptions } from './relay.ts';

/** A session that may begin transactions. The socket has no listeners and no timeout. */
export interface OpenSession {
  readonly kind: 'open';
  readonly socket: Socket;
  readonly extensions: Extensions;
}

/** Why no session could be opened. Plain data: it crosses threads. */
export interface HandshakeFailure {
  readonly kind: 'failed';
  readonly verdict: Verdict;
  /** True where trying again without a change of configuration is pointless: credentials, certificate. */
  readonly permanent: boolean;
  /** What to do, one sentence. */
  readonly hint: string;
}

/** Opens one session. Takes at most connection and greeting timeout; never throws; destroys what it cannot use. */
export async function openSession(relay: RelayOptions): Promise<OpenSession | HandshakeFailure> {
  const connection = new SMTPConnection(connectionOptions(relay));
  try {
    await connect(connection);
    if (relay.auth !== undefined) await authenticate(connection, relay.auth);
    return handOver(connection);
  } catch (error) {
    connection.close();
    return describeFailure(error, relay);
  }
}

function connectionOptions(relay: RelayOptions): SMTPConnection.Options {
  return {
    host: relay.host,
    port: relay.port,
    secure: relay.security === 'tls',
    requireTLS: relay.security === 'starttls',
    ignoreTLS: relay.security === 'plain',
    name: relay.clientName,
    localAddress: relay.localAddress,
    connectionTimeout: relay.connectionTimeoutMs,
    greetingTimeout: relay.greetingTimeoutMs,
    socketTimeout: relay.commandTimeoutMs,
    // A session that failed its handshake is of no use to anyone; do not linger.
    socketCloseTimeout: 0,
    tls: {
      // RFC 8996: TLS 1.0 and 1.1 are not to be used.
      minVersion: 'TLSv1.2',
      rejectUnauthorized: relay.tls.rejectUnauthorized,
      ...(relay.tls.ca === undefined ? {} : { ca: relay.tls.ca }),
      ...(relay.tls.servername === undefined ? {} : { servername: relay.tls.servername }),
    },
  };
}

function connect(connection: SMTPConnection): Promise<void> {
  return new Promise((resolve, reject) => {
    // Stays on after the promise is settled: an 'error' event without a listener would throw.
    connection.on('error', reject);
    connection.connect((error) => (error ? reject(error) : resolve()));
  });
}

function authenticate(connection: SMTPConnection, auth: NonNullable<RelayOptions['auth']>): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.on('error', reject);
    if (!connection.allowsAuth) {
      // The code that nodemailer gives to every other failure to log in.
      reject(Object.assign(new Error('the relay does not offer AUTH on this connection'), { code: 'EAUTH' }));
      return;
    }
    const credentials = { user: auth.user, pass: auth.pass };
    connection.login({ ...credentials, credentials, method: auth.method }, (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

/** What we take over from nodemailer's connection beyond its public face; checked where it is read. */
interface Internals {
  _ehloLines?: unknown;
  _remainder?: unknown;
  _responseQueue?: unknown;
}

// The events nodemailer listens to.
const takenEvents = ['data', 'end', 'close', 'error', 'timeout'] as const;

/** Reads fields that its types do not show; whoever uses them checks them. */
function internalsOf(connection: object): Internals {
  return connection;
}

/** The hand-over: from here on nodemailer neither reads, writes nor times this socket. */
function handOver(connection: SMTPConnection): OpenSession {
  const socket = connection._socket;
  const { _remainder: remainder, _responseQueue: queue, _ehloLines: lines } = internalsOf(connection);
  if (!socket || socket.destroyed) throw new Error('the relay closed the connection after the handshake');
  if (remainder !== '' || !Array.isArray(queue) || queue.length > 0) {
    throw new Error('the relay sent bytes that nothing asked for during the handshake');
  }
  for (const event of takenEvents) socket.removeAllListeners(event);
  socket.setTimeout(0);
  // Paused until the session listens, so that bytes in between are kept.
  socket.pause();
  const offered = Array.isArray(lines) ? lines.filter((line) => typeof line === 'string') : [];
  return { kind: 'open', socket, extensions: parseExtensions(offered) };
}

/** The fields that nodemailer puts on its errors; whoever uses them checks them. */
interface NodemailerFields {
  code?: unknown;
  originalCode?: unknown;
  responseCode?: unknown;
  response?: unknown;
  command?: unknown;
}

function fieldsOf(error: unknown): NodemailerFields {
  return typeof error === 'object' && error !== null ? error : {};
}

function describeFailure(error: unknown, relay: RelayOptions): HandshakeFailure {
  const fields = fieldsOf(error);
  const code = typeof fields.code === 'string' ? fields.code : '';
  const original = typeof fields.originalCode === 'string' ? fields.originalCode : code;
  const replyCode = typeof fields.responseCode === 'number' ? fields.responseCode : 0;
  const stage = stageOf(fields.command, code);
  const cause = causeOf(code, original, replyCode, stage);
  return {
    kind: 'failed',
    permanent: cause.permanent,
    hint: cause.hint,
    verdict: {
      scope: 'relay',
      stage,
      replyCode,
      enhancedStatus: enhancedStatusOf(fields.response),
      category: cause.category,
      retryable: !cause.permanent,
      text: `${relay.host}:${relay.port}: ${withoutSecrets(messageOf(error), relay)}`,
    },
  };
}

interface Cause {
  readonly category: Category;
  readonly permanent: boolean;
  readonly hint: string;
}

/** Codes of node:tls and OpenSSL for certificates that do not verify. */
const certificateCode = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ALTNAME/;

function causeOf(code: string, original: string, replyCode: number, stage: Stage): Cause {
  if (certificateCode.test(original)) {
    return {
      category: 'relay-down',
      permanent: true,
      hint: "use the host name that the certificate is for, or name the CA that signed it in the relay's tls.ca; the check cannot be switched off",
    };
  }
  if (stage === 'auth') {
    return {
      category: 'relay-auth',
      // RFC 4954 §6: 454 is temporary; 534, 535, 538 are not.
      permanent: replyCode === 0 || replyCode >= 500,
      hint: 'check the user and password of the relay, and that this account may send from this machine',
    };
  }
  if (stage === 'starttls' || code === 'ETLS') {
    return {
      category: 'relay-down',
      permanent: replyCode >= 500,
      hint: 'the relay must offer STARTTLS on this port; use port 465 with secure: true if it only speaks TLS from the start',
    };
  }
  if (code === 'EDNS')
    return {
      category: 'network',
      permanent: false,
      hint: "check the relay's host name and this machine's DNS",
    };
  if (replyCode > 0)
    return {
      category: 'relay-down',
      permanent: false,
      hint: 'the relay refuses sessions; ask its operator what the reply means',
    };
  return {
    category: 'network',
    permanent: false,
    hint: 'check host and port of the relay, and firewalls in between',
  };
}

function stageOf(command: unknown, code: string): Stage {
  const text = typeof command === 'string' ? command : '';
  if (code === 'EAUTH' || text.startsWith('AUTH')) return 'auth';
  if (text === 'STARTTLS') return 'starttls';
  if (text === 'EHLO' || text === 'HELO') return 'ehlo';
  return 'connect';
}

function enhancedStatusOf(response: unknown): string {
  const match = typeof response === 'string' ? /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(response) : null;
  return match?.[1] ?? '';
}

/** A relay may echo what it was sent; neither the password nor its base64 forms may reach a log. */
function withoutSecrets(text: string, relay: RelayOptions): string {
  // oxlint-disable-next-line no-control-regex -- they are what must not reach a terminal
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
  if (relay.auth === undefined) return line;
  const { user, pass } = relay.auth;
  const forms = [
    pass,
    Buffer.from(pass).toString('base64'),
    Buffer.from(`\0${user}\0${pass}`).toString('base64'),
  ];
  return forms.filter((form) => form !== '').reduce((kept, form) => kept.replaceAll(form, '***'), line);
}
