// From an error of a handshake to a verdict: finds the reason, and tells it without any secret.
import { messageOf } from '../base/error.ts';
import { formatReply, makeReply, type Reply } from '../mail/reply.ts';
import { judgeFailure, judgeReply, type Stage, type Verdict } from '../mail/verdict.ts';
import { TokenError } from './access_token.ts';
import { reasons, type Cause, type Reason } from './handshake_reason.ts';
import type { RelayOptions } from './relay.ts';
import { maskSecrets, secretsOf } from './redact.ts';
import { TokenRefused } from './xoauth2.ts';

/** An error of ours, where the reason is known at once. */
export class HandshakeError extends Error {
  readonly reason: Reason;

  constructor(reason: Reason, detail = '') {
    super(detail);
    this.reason = reason;
  }
}

/** What is known of a handshake beside its error. */
export interface Progress {
  readonly stage: Stage;
  readonly security: RelayOptions['security'];
  /** Of the last EHLO before TLS. */
  readonly offersStartTls: boolean;
}

/** A failure with its reason, before it is put into words. */
export interface Trouble {
  readonly reason: Reason;
  readonly stage: Stage;
  readonly reply: Reply | undefined;
  /** What the relay or the system said; may hold secrets and control characters. */
  readonly detail: string;
}

/** Why no session could be opened. Plain data: it crosses threads. */
export interface FailureDescription {
  readonly verdict: Verdict;
  /** True where trying again without a change of configuration is pointless: credentials, certificate. */
  readonly permanent: boolean;
  /** What to do, one sentence. */
  readonly hint: string;
}

/** Characters of what a relay said that are told. */
const maxDetailLength = 500;

/** Finds the reason of anything that was thrown during a handshake. */
export function findTrouble(error: unknown, progress: Progress): Trouble {
  const fields = fieldsOf(error);
  const response = typeof fields.response === 'string' ? fields.response : '';
  const reply = parseReply(response);
  const stage = fields.code === 'EAUTH' ? 'auth' : progress.stage;
  const reason =
    ownReasonOf(error, reply) ??
    reasonOfTls(error, fields, progress) ??
    (reply === undefined ? reasonWithoutReply(fields, progress) : reasonOfReply(reply, fields, progress));
  return { reason, stage, reply, detail: detailOf(error, reason, reply, response) };
}

/** Puts trouble into words. `secrets` are what must not appear, besides those in the relay's options. */
export function describeTrouble(
  trouble: Trouble,
  relay: RelayOptions,
  secrets: readonly string[],
): FailureDescription {
  const { reason, reply, detail } = trouble;
  const cause: Cause = reasons[reason];
  // Only what others said: a short secret may be part of our own words, and the gaps would tell it.
  // Masked before it is cut, or half a secret could be left at the end.
  const said = maskSecrets(detail, [...secretsOf(relay), ...secrets]).slice(0, maxDetailLength);
  const verdict: Verdict = {
    ...judge(trouble, cause),
    scope: 'relay',
    kind: 'unsent',
    session: 'close',
    replyCode: reply?.replyCode ?? 0,
    enhancedStatus: reply?.enhancedStatus ?? '',
    retryable: !cause.permanent,
    text: `${relay.host}:${relay.port}: ${cause.says}${said === '' ? '' : `: ${said}`}`,
  };
  return { permanent: cause.permanent, hint: cause.hint, verdict };
}

/** A refusal is judged by the verdict table, which knows what providers say of limits; the rest by its reason. */
function judge({ reason, stage, reply }: Trouble, { category }: Cause): Verdict {
  if (reply !== undefined && reply.replyCode >= 400 && category !== 'protocol')
    return judgeReply(stage, reply);
  const kind = category === 'protocol' ? 'garbled' : timeouts.has(reason) ? 'timeout' : 'closed';
  return { ...judgeFailure(stage, { kind, text: '' }), category };
}

const timeouts: ReadonlySet<Reason> = new Set<Reason>(['connectTimeout', 'greetingTimeout', 'silent']);

/** The fields that nodemailer puts on its errors; whoever uses them checks them. */
interface NodemailerFields {
  readonly code?: unknown;
  readonly originalCode?: unknown;
  readonly response?: unknown;
  readonly command?: unknown;
}

function fieldsOf(error: unknown): NodemailerFields {
  return typeof error === 'object' && error !== null ? error : {};
}

/** A response as nodemailer gives it: whole lines with their codes. Undefined where it is no reply. */
function parseReply(response: string): Reply | undefined {
  const code = /^([2-5]\d\d)(?=[ -]|$)/m.exec(response.split('\n', 1)[0] ?? '')?.[1];
  if (code === undefined) return undefined;
  const text = response
    .split('\n')
    .map((line) => line.replace(/^\d{3}(?:[ -]|$)/, ''))
    .join('\n');
  return makeReply(Number(code), text);
}

function ownReasonOf(error: unknown, reply: Reply | undefined): Reason | undefined {
  if (error instanceof HandshakeError) return error.reason;
  if (error instanceof TokenError) return error.isRefusal ? 'tokenDenied' : 'tokenUnavailable';
  if (error instanceof TokenRefused) {
    const code = reply?.replyCode ?? 0;
    return code === 535 || code === 334 || code === 0 ? 'tokenRefused' : reasonOfAuth(code);
  }
  return undefined;
}

/** Codes of node:tls (X509_V_ERR_… and its own), by which certificates are refused. */
const certificateReasons: Readonly<Record<string, Reason>> = {
  ERR_TLS_CERT_ALTNAME_INVALID: 'wrongName',
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'notYetValid',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'selfSigned',
  SELF_SIGNED_CERT_IN_CHAIN: 'unknownIssuer',
  UNABLE_TO_GET_ISSUER_CERT: 'unknownIssuer',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unknownIssuer',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unknownIssuer',
};

/** The rest of X509_V_ERR_…: what OpenSSL finds wrong with a chain. */
const certificateCode =
  /^(?:CERT|CRL|ERROR_IN_CERT|HOSTNAME_MISMATCH|INVALID_|PATH_LENGTH|UNABLE_TO_|EE_|CA_)/;

function reasonOfTls(
  error: unknown,
  fields: NodemailerFields,
  { stage, security }: Progress,
): Reason | undefined {
  const code = tlsCodeOf(fields);
  if (Object.hasOwn(certificateReasons, code)) return certificateReasons[code];
  if (code.startsWith('ERR_SSL_')) return reasonOfAlert(code, stage);
  if (certificateCode.test(code)) return 'badCertificate';
  // Node's words for a connection that ended before TLS was there: its code is that of any reset.
  const isCut = /before secure TLS connection/.test(messageOf(error));
  const isUpgrading = fields.code === 'ETLS' && fields.response === undefined;
  return (isCut && (security === 'tls' || stage === 'starttls')) || isUpgrading ? 'tlsFailed' : undefined;
}

/** What OpenSSL says, by the reason in its code (`ERR_SSL_` and the reason, in capitals). */
function reasonOfAlert(code: string, stage: Stage): Reason {
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|NO_PROTOCOLS/.test(code)) return 'oldTls';
  if (/ALERT_.*CERTIFICATE|ALERT_UNKNOWN_CA|ALERT_ACCESS_DENIED/.test(code)) return 'clientCertificate';
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNKNOWN_PROTOCOL/.test(code)) {
    return stage === 'starttls' ? 'plainAfterStartTls' : 'notTls';
  }
  return /KEY_TOO_SMALL|MD_TOO_WEAK/.test(code) ? 'badCertificate' : 'tlsFailed';
}

/** nodemailer puts its own code over the system's, and keeps that in `originalCode`. */
function tlsCodeOf(fields: NodemailerFields): string {
  const { code, originalCode } = fields;
  if (typeof originalCode === 'string') return originalCode;
  return typeof code === 'string' ? code : '';
}

function reasonOfReply(
  { replyCode }: Reply,
  fields: NodemailerFields,
  { stage, offersStartTls }: Progress,
): Reason {
  if (fields.code === 'EAUTH' || stage === 'auth') return reasonOfAuth(replyCode);
  const isBegun = stage === 'ehlo' || stage === 'starttls';
  if (replyCode < 400) return isBegun ? 'unasked' : 'notSmtp';
  if (stage === 'ehlo') return 'ehloRefused';
  if (stage !== 'starttls') return 'refused';
  if (!offersStartTls) return 'startTlsMissing';
  return replyCode < 500 ? 'startTlsDeferred' : 'startTlsRefused';
}

/** RFC 4954 §6, RFC 5248. */
function reasonOfAuth(replyCode: number): Reason {
  if (replyCode === 421) return 'refused';
  if (replyCode === 432) return 'authTransition';
  if (replyCode === 534) return 'authTooWeak';
  if (replyCode === 530 || replyCode === 538) return 'authNeedsTls';
  if (replyCode < 400) return 'authGarbled';
  return replyCode < 500 ? 'authDeferred' : 'authRefused';
}

function reasonWithoutReply(fields: NodemailerFields, { stage }: Progress): Reason {
  switch (fields.code) {
    case 'EDNS':
      return 'unresolved';
    case 'ETIMEDOUT':
      return timeoutReasonOf(stage);
    case 'EAUTH':
      return 'authGarbled';
    case 'EPROTOCOL':
      return stage === 'greeting' ? 'notSmtp' : 'garbled';
    default:
      return stage === 'connect' ? 'unreachable' : closedReasonOf(fields);
  }
}

/** What a silence means, by what was waited for. */
export function timeoutReasonOf(stage: Stage): Reason {
  if (stage === 'connect') return 'connectTimeout';
  return stage === 'greeting' ? 'greetingTimeout' : 'silent';
}

/** An EHLO that is answered with what is no reply has nodemailer's code of a closed connection, and a response. */
function closedReasonOf(fields: NodemailerFields): Reason {
  return typeof fields.response === 'string' ? 'garbled' : 'closed';
}

/** The rows that say it all; what node:tls adds to these is about Node. */
const plainReasons: ReadonlySet<Reason> = new Set<Reason>([
  ...timeouts,
  'expired',
  'notYetValid',
  'selfSigned',
  'unknownIssuer',
]);

function detailOf(error: unknown, reason: Reason, reply: Reply | undefined, response: string): string {
  if (plainReasons.has(reason)) return '';
  const said = reply === undefined ? response : formatReply(reply);
  const code = tlsCodeOf(fieldsOf(error));
  // nodemailer adds the reply to the messages of its errors; OpenSSL's are addresses and file names, its codes speak.
  const isOurs = error instanceof HandshakeError || error instanceof TokenRefused;
  const words = code.startsWith('ERR_SSL_') ? code : messageOf(error);
  const parts = isOurs || said === '' ? [words, said] : [said];
  return parts.filter((part) => part !== '').join(': ');
}
