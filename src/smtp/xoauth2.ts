// XOAUTH2: logs a session in with an access token, and once more with a fresh one where the relay refuses it.
import type { AccessTokens } from './access_token.ts';

/** The relay refused the token. */
export class TokenRefused extends Error {
  /** The relay's last reply, whole lines with their codes. */
  readonly response: string;

  constructor(message: string, response: string) {
    super(message);
    this.response = response;
  }
}

/** Sends a command and resolves with the whole reply to it. */
export type Send = (command: string) => Promise<string>;

/**
 * Resolves when the relay has accepted a token. Throws TokenRefused, or TokenError of `tokens`. At most two tokens
 * are tried, and at most one is fetched because of a refusal.
 */
export async function logInWithToken(user: string, tokens: AccessTokens, send: Send): Promise<void> {
  const token = await tokens.get();
  const first = await offerToken(user, token, send);
  if (first.kind === 'accepted') return;
  const fresh = first.isAboutToken ? await tokens.replace(token) : undefined;
  const last = fresh === undefined ? first : await offerToken(user, fresh, send);
  if (last.kind === 'refused') throw new TokenRefused(last.complaint, last.response);
}

/** What XOAUTH2 sends, in base64: to be kept out of every text. */
export function encodeToken(user: string, token: string): string {
  return Buffer.from(`user=${user}\u0001auth=Bearer ${token}\u0001\u0001`).toString('base64');
}

type Offer =
  | { readonly kind: 'accepted' }
  | {
      readonly kind: 'refused';
      /** A fresh token may help. */
      readonly isAboutToken: boolean;
      /** The error that came as a challenge; empty where there was none. */
      readonly complaint: string;
      readonly response: string;
    };

async function offerToken(user: string, token: string, send: Send): Promise<Offer> {
  const response = await send(`AUTH XOAUTH2 ${encodeToken(user, token)}`);
  if (!response.startsWith('334')) return judge(response, '');
  // The challenge is an error in JSON; an empty answer to it brings the real reply.
  const complaint = Buffer.from(response.slice(4).trim(), 'base64').toString('utf8');
  return judge(await send(''), complaint);
}

function judge(response: string, complaint: string): Offer {
  if (response.startsWith('235')) return { kind: 'accepted' };
  return { kind: 'refused', isAboutToken: response.startsWith('535'), complaint, response };
}
