// Reasons why a handshake fails, one row each: whose affair it is, whether it stays so, what to tell and what to do.
import type { Category } from '../mail/verdict.ts';

/** What follows from a reason. */
export interface Cause {
  readonly category: Category;
  /** Trying again without a change of configuration is pointless. */
  readonly permanent: boolean;
  /** Follows "HOST:PORT: ". */
  readonly says: string;
  /** What to do, one sentence. */
  readonly hint: string;
}

const trustHint =
  "name the CA that signed it in the relay's tls.ca (or the certificate itself, if it is self-signed); the check cannot be switched off";
const noTlsHint =
  'if the port never offers STARTTLS, take one that does, or port 465 with secure: true; if it used to, somebody on the way may be stripping it';

export const reasons = {
  unresolved: {
    category: 'network',
    permanent: false,
    says: 'its name cannot be resolved',
    hint: "check the relay's host name and this machine's DNS",
  },
  unreachable: {
    category: 'network',
    permanent: false,
    says: 'no connection',
    hint: 'check host and port of the relay, and firewalls in between',
  },
  connectTimeout: {
    category: 'network',
    permanent: false,
    says: 'no connection in time',
    hint: 'check host and port of the relay, and firewalls in between; many networks block port 25',
  },
  proxyFailed: {
    category: 'network',
    permanent: false,
    says: 'the proxy opens no connection',
    hint: "check the relay's proxy, and that it may connect to this port",
  },
  proxyAuth: {
    category: 'network',
    permanent: true,
    says: 'the proxy does not let us in',
    hint: "check user and password in the relay's proxy",
  },
  greetingTimeout: {
    category: 'network',
    permanent: false,
    says: 'no greeting in time',
    hint: 'if the port speaks TLS from the start, as 465 does, set secure: true; else the relay is overloaded, or greetingTimeout too short',
  },
  silent: {
    category: 'network',
    permanent: false,
    says: 'no answer in time',
    hint: 'the relay is overloaded or stuck; it is tried again',
  },
  closed: {
    category: 'network',
    permanent: false,
    says: 'the relay closed the connection',
    hint: 'the relay ends sessions before they begin; ask its operator why, and whether maxConnections is too many',
  },
  refused: {
    category: 'relay-down',
    permanent: false,
    says: 'the relay takes no sessions',
    hint: 'the relay refuses sessions; ask its operator what the reply means',
  },
  notSmtp: {
    category: 'protocol',
    permanent: false,
    says: 'what answers is no SMTP relay',
    hint: 'check host and port of the relay',
  },
  garbled: {
    category: 'protocol',
    permanent: false,
    says: 'the relay sent what is no reply',
    hint: 'check host and port of the relay, and what stands in between',
  },
  unasked: {
    category: 'protocol',
    permanent: false,
    says: 'the relay sent a reply that nothing asked for',
    hint: 'check what stands between here and the relay',
  },
  ehloRefused: {
    category: 'relay-down',
    permanent: false,
    says: 'the relay refuses our EHLO',
    hint: 'check the name in the relay\'s key "name", which EHLO gives; a relay that knows only HELO cannot be used with TLS',
  },
  startTlsMissing: {
    category: 'relay-down',
    permanent: true,
    says: 'the relay does not offer STARTTLS',
    hint: noTlsHint,
  },
  startTlsRefused: {
    category: 'relay-down',
    permanent: true,
    says: 'the relay refuses STARTTLS',
    hint: noTlsHint,
  },
  startTlsDeferred: {
    category: 'relay-down',
    permanent: false,
    says: 'the relay cannot do STARTTLS now',
    hint: 'its operator has to mend its TLS; it is tried again',
  },
  injected: {
    category: 'protocol',
    permanent: false,
    says: 'plain text came together with the answer to STARTTLS',
    hint: 'somebody on the way may be tampering with the connection, or the relay is broken; nothing was sent (RFC 3207 §6)',
  },
  plainAfterStartTls: {
    category: 'protocol',
    permanent: false,
    says: 'what came after STARTTLS is no TLS',
    hint: 'somebody on the way may be tampering with the connection, or the relay is broken; nothing was sent (RFC 3207 §6)',
  },
  wrongName: {
    category: 'relay-down',
    permanent: true,
    says: 'its certificate is for another name',
    hint: 'use the host name that the certificate is for, or name it in tls.servername; the check cannot be switched off',
  },
  expired: {
    category: 'relay-down',
    permanent: true,
    says: 'its certificate has expired',
    hint: "the relay's operator has to renew it; check this machine's clock",
  },
  notYetValid: {
    category: 'relay-down',
    permanent: true,
    says: 'its certificate is not valid yet',
    hint: "check this machine's clock, then ask the relay's operator",
  },
  selfSigned: {
    category: 'relay-down',
    permanent: true,
    says: 'it shows a self-signed certificate',
    hint: trustHint,
  },
  unknownIssuer: {
    category: 'relay-down',
    permanent: true,
    says: 'its certificate is signed by nobody we trust',
    hint: trustHint,
  },
  badCertificate: {
    category: 'relay-down',
    permanent: true,
    says: 'its certificate cannot be verified',
    hint: trustHint,
  },
  oldTls: {
    category: 'relay-down',
    permanent: true,
    says: 'there is no version of TLS that both accept',
    hint: 'the relay must speak TLS 1.2 or later (RFC 8996); if tls.minVersion asks for more than that, lower it',
  },
  notTls: {
    category: 'relay-down',
    permanent: true,
    says: 'the port does not speak TLS from the start',
    hint: 'leave secure out, then STARTTLS is used, as port 587 wants it',
  },
  clientCertificate: {
    category: 'relay-down',
    permanent: true,
    says: 'the relay wants a client certificate, or another one',
    hint: "name yours in the relay's tls.cert and tls.key",
  },
  tlsFailed: {
    category: 'relay-down',
    permanent: false,
    says: 'the TLS handshake failed',
    hint: 'the relay ended it, or both have no cipher in common; it may also want a client certificate (tls.cert, tls.key)',
  },
  plainCredentials: {
    category: 'relay-auth',
    permanent: true,
    says: 'credentials are not sent without TLS',
    hint: 'use STARTTLS or TLS, or no auth',
  },
  authMissing: {
    category: 'relay-auth',
    permanent: true,
    says: 'the relay does not offer AUTH on this connection',
    hint: 'remove auth if the relay knows this machine by its address; else take its submission port, 587 or 465',
  },
  mechanismMissing: {
    category: 'relay-auth',
    permanent: true,
    says: 'the relay offers no way to log in that fits',
    hint: 'change auth.method or auth.type to what the relay offers',
  },
  authRefused: {
    category: 'relay-auth',
    permanent: true,
    says: 'the relay refuses the credentials',
    hint: 'check the user and password of the relay, and that this account may send from this machine',
  },
  authDeferred: {
    category: 'relay-auth',
    permanent: false,
    says: 'the relay cannot check the credentials now',
    hint: 'it is tried again; if it stays so, ask its operator what the reply means',
  },
  authTransition: {
    category: 'relay-auth',
    permanent: false,
    says: 'the relay wants the password to be renewed first',
    hint: 'log in to the account once by the means of the provider, or set its password anew (RFC 4954 §6)',
  },
  authTooWeak: {
    category: 'relay-auth',
    permanent: true,
    says: 'the relay wants a stronger way to log in',
    hint: 'make a password for applications in the account, or use auth.type OAuth2',
  },
  authNeedsTls: {
    category: 'relay-auth',
    permanent: true,
    says: 'the relay wants TLS before AUTH',
    hint: 'use port 465 with secure: true, or STARTTLS on port 587',
  },
  authGarbled: {
    category: 'protocol',
    permanent: false,
    says: 'the relay does not keep to the AUTH exchange',
    hint: 'try another auth.method, and ask its operator',
  },
  tokenRefused: {
    category: 'relay-auth',
    permanent: true,
    says: 'the relay refuses the access token',
    hint: 'check that the token is for this user and has the scope for SMTP, and that the account allows it',
  },
  tokenDenied: {
    category: 'relay-auth',
    permanent: true,
    says: 'no access token is granted',
    hint: 'check clientId, clientSecret, refreshToken and accessUrl of the relay; the refresh token may have been revoked',
  },
  tokenUnavailable: {
    category: 'relay-auth',
    permanent: false,
    says: 'no access token can be had now',
    hint: 'check accessUrl of the relay and that this machine reaches it; it is tried again',
  },
  broken: {
    category: 'protocol',
    permanent: true,
    says: 'the connection cannot be handed over',
    hint: 'this version of nodemailer is not one that Posthaste knows; install the one in package-lock.json',
  },
} as const satisfies Readonly<Record<string, Cause>>;

export type Reason = keyof typeof reasons;
