// The extensions that the sandbox can offer, and the EHLO reply that offers them (RFC 5321 §4.1.1.1).
import { ExitCode, PosthasteError } from '../base/error.ts';

/** STARTTLS and AUTH are not here: whether they are offered follows from the session. REQUIRETLS is offered inside TLS only. */
export const sandboxExtensions = [
  'PIPELINING',
  'SIZE',
  '8BITMIME',
  'ENHANCEDSTATUSCODES',
  'DSN',
  'SMTPUTF8',
  'CHUNKING',
  'REQUIRETLS',
] as const;

export type SandboxExtension = (typeof sandboxExtensions)[number];

/** What one EHLO reply offers. */
export interface Offer {
  readonly extensions: ReadonlySet<SandboxExtension>;
  readonly sizeLimitBytes: number;
  readonly startTls: boolean;
  /** The session is inside TLS. */
  readonly isSecure: boolean;
  readonly authMethods: readonly string[];
}

/** The EHLO reply with CRLFs. */
export function formatEhloReply(offer: Offer): string {
  const lines = ['sandbox.localhost at your service'];
  for (const extension of offer.extensions) {
    // RFC 8689 §3: not before TLS.
    if (extension === 'REQUIRETLS' && !offer.isSecure) continue;
    lines.push(extension === 'SIZE' ? `SIZE ${offer.sizeLimitBytes}` : extension);
  }
  if (offer.startTls) lines.push('STARTTLS');
  if (offer.authMethods.length > 0) lines.push(`AUTH ${offer.authMethods.join(' ')}`);
  return lines.map((line, index) => `250${index < lines.length - 1 ? '-' : ' '}${line}\r\n`).join('');
}

/**
 * Parses "PIPELINING,SIZE", "all", "none" or, counted from all, "-CHUNKING,-PIPELINING".
 *
 * @throws PosthasteError ERR_SANDBOX_EXTENSION (usage) with the names that were expected.
 */
export function parseExtensions(text: string): SandboxExtension[] {
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  if (words.length === 1 && words[0] === 'all') return [...sandboxExtensions];
  if (words.length === 1 && words[0] === 'none') return [];
  const dropped = words.filter((word) => word.startsWith('-'));
  const without = new Set(dropped.map((word) => parseExtension(word.slice(1))));
  const only = words.filter((word) => !word.startsWith('-')).map(parseExtension);
  const base = only.length > 0 ? only : sandboxExtensions;
  return base.filter((extension) => !without.has(extension));
}

function parseExtension(word: string): SandboxExtension {
  const found = sandboxExtensions.find((extension) => extension === word.toUpperCase());
  if (found !== undefined) return found;
  throw new PosthasteError({
    code: 'ERR_SANDBOX_EXTENSION',
    message: `Extension "${word}" is unknown to the sandbox, expected some of ${sandboxExtensions.join(', ')}.`,
    hint: 'Write "PIPELINING,SIZE" for these alone, "-CHUNKING" for all but one, or "none".',
    exitCode: ExitCode.usage,
  });
}
