// The server's side of AUTH PLAIN and AUTH LOGIN (RFC 4954, RFC 4616), without a socket.
import { unreachable } from '../base/invariant.ts';

export type AuthMethod = 'PLAIN' | 'LOGIN';

/** The one account that a sandbox knows. */
export interface Account {
  readonly user: string;
  readonly pass: string;
}

/** What follows from a line of the exchange. Replies end in CRLF. */
export type AuthStep =
  | { readonly kind: 'challenge'; readonly reply: string }
  | { readonly kind: 'accepted'; readonly user: string }
  | { readonly kind: 'refused'; readonly reply: string };

const badCredentials: AuthStep = {
  kind: 'refused',
  reply: '535 5.7.8 Authentication credentials invalid\r\n',
};
const badBase64: AuthStep = { kind: 'refused', reply: '501 5.5.2 Cannot decode base64\r\n' };
/** RFC 4954 §4: a client gives up with a single `*`. */
const cancelled: AuthStep = { kind: 'refused', reply: '501 5.7.0 Authentication cancelled\r\n' };

/** One exchange, from the AUTH command to its end. LOGIN asks for the user, then for the password. */
export class AuthExchange {
  readonly #account: Account;
  readonly #method: AuthMethod;
  #user: string | undefined;

  constructor(account: Account, method: AuthMethod) {
    this.#account = account;
    this.#method = method;
  }

  /** Begins with the initial response of the command, or asks for what is missing. */
  begin(initialResponse: string | undefined): AuthStep {
    // RFC 4954 §4: "=" stands for an empty initial response.
    if (initialResponse !== undefined) return this.respond(initialResponse === '=' ? '' : initialResponse);
    return { kind: 'challenge', reply: this.#method === 'PLAIN' ? '334 \r\n' : formatChallenge('Username:') };
  }

  /** Takes a line that the client sent as its response. */
  respond(line: string): AuthStep {
    if (line === '*') return cancelled;
    const text = decodeBase64(line);
    if (text === undefined) return badBase64;
    switch (this.#method) {
      case 'PLAIN':
        return this.#judgePlain(text);
      case 'LOGIN':
        return this.#judgeLogin(text);
      default:
        return unreachable(this.#method);
    }
  }

  /** RFC 4616 §2: authorization identity, NUL, user, NUL, password. */
  #judgePlain(text: string): AuthStep {
    const parts = text.split('\0');
    const [identity, user, pass] = parts;
    const isSelf = identity === '' || identity === user;
    return parts.length === 3 && isSelf ? this.#judge(user, pass) : badCredentials;
  }

  #judgeLogin(text: string): AuthStep {
    if (this.#user !== undefined) return this.#judge(this.#user, text);
    this.#user = text;
    return { kind: 'challenge', reply: formatChallenge('Password:') };
  }

  #judge(user: string | undefined, pass: string | undefined): AuthStep {
    const isRight = user === this.#account.user && pass === this.#account.pass;
    return isRight ? { kind: 'accepted', user: this.#account.user } : badCredentials;
  }
}

function formatChallenge(text: string): string {
  return `334 ${Buffer.from(text).toString('base64')}\r\n`;
}

/** Strict base64 (RFC 4648 §4) of UTF-8; undefined where it is not. */
function decodeBase64(line: string): string | undefined {
  if (line.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(line)) return undefined;
  return Buffer.from(line, 'base64').toString('utf8');
}
