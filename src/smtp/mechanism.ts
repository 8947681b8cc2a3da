// Which SASL mechanism to use: what a relay offers (RFC 4954 §3) against what its configuration allows.
import { HandshakeError } from './handshake_failure.ts';
import type { OAuth2, PasswordAuth } from './relay.ts';

const passwordMechanisms = ['PLAIN', 'LOGIN', 'CRAM-MD5'] as const;

/**
 * Chooses by the EHLO lines of the secured session. Throws HandshakeError where nothing fits: credentials are never
 * sent in a way that the relay did not ask for.
 */
export function chooseMechanism(ehloLines: readonly string[], auth: PasswordAuth | OAuth2): string {
  const offered = listMechanisms(ehloLines);
  if (offered === undefined) throw new HandshakeError('authMissing');
  const wanted = wantedMechanisms(auth);
  const found = wanted.find((one) => offered.includes(one));
  if (found !== undefined) return found;
  const list = offered.length === 0 ? 'no mechanism' : offered.join(', ');
  throw new HandshakeError('mechanismMissing', `it offers ${list}, wanted is ${wanted.join(' or ')}`);
}

function wantedMechanisms(auth: PasswordAuth | OAuth2): readonly string[] {
  if (auth.type === 'OAuth2') return ['XOAUTH2'];
  return auth.method === undefined ? passwordMechanisms : [auth.method];
}

/** Undefined where AUTH is not offered at all. Old servers write `AUTH=LOGIN`. */
function listMechanisms(ehloLines: readonly string[]): string[] | undefined {
  const lines = ehloLines.filter((line) => /^AUTH(?:[\s=]|$)/i.test(line));
  if (lines.length === 0) return undefined;
  const words = lines.flatMap((line) =>
    line
      .slice('AUTH'.length)
      .toUpperCase()
      .split(/[\s=]+/),
  );
  return [...new Set(words.filter((word) => word !== ''))];
}
