// Access tokens of OAuth 2: had from where the relay says, kept while they hold, renewed by one request at a time.
import { messageOf, systemCodeOf } from '../base/error.ts';
import type { OAuth2 } from './relay.ts';

/** Why there is no token. */
export class TokenError extends Error {
  /** The endpoint refused us (RFC 6749 §5.2); asking again without a change is pointless. */
  readonly isRefusal: boolean;

  constructor(message: string, isRefusal = false) {
    super(message);
    this.isRefusal = isRefusal;
  }
}

const requestTimeoutMs = 30_000;
const maxResponseBytes = 65_536;
/** A token that ends while it travels is as good as none. */
const expiryMarginMs = 10_000;

/** The access token of one relay, for all sessions of a thread. */
export class AccessTokens {
  readonly #auth: OAuth2;
  #token: string | undefined;
  #expiresAt: number;
  #refreshToken: string | undefined;
  #renewal: Promise<string> | undefined;

  constructor(auth: OAuth2) {
    this.#auth = auth;
    this.#token = auth.accessToken;
    this.#expiresAt = auth.expiresAt ?? Infinity;
    this.#refreshToken = auth.refreshToken;
  }

  /** What must appear in no text, besides what is in the relay's options. */
  get secrets(): readonly string[] {
    return [this.#token, this.#refreshToken].filter((one) => one !== undefined);
  }

  /** A token that has not expired as far as we know. Throws TokenError. */
  async get(): Promise<string> {
    const token = this.#token;
    const holds = this.#refreshToken === undefined || Date.now() < this.#expiresAt - expiryMarginMs;
    return token !== undefined && holds ? token : await this.#renew();
  }

  /**
   * Another token than one that the relay refused; undefined where there can be none. Whoever comes second with the
   * same refused token gets what the first one's request brought. Throws TokenError.
   */
  async replace(refused: string): Promise<string | undefined> {
    if (this.#token !== undefined && this.#token !== refused) return this.#token;
    return this.#refreshToken === undefined ? undefined : await this.#renew();
  }

  #renew(): Promise<string> {
    this.#renewal ??= this.#request().finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal;
  }

  async #request(): Promise<string> {
    if (this.#refreshToken === undefined) throw new TokenError('there is no refresh token', true);
    const granted = await requestToken(this.#auth, this.#refreshToken);
    this.#token = granted.accessToken;
    this.#expiresAt = granted.expiresAt;
    // RFC 6749 §6: a new refresh token takes the place of the old one.
    this.#refreshToken = granted.refreshToken ?? this.#refreshToken;
    return granted.accessToken;
  }
}

interface Granted {
  readonly accessToken: string;
  readonly expiresAt: number;
  readonly refreshToken: string | undefined;
}

/** RFC 6749 §6. */
async function requestToken(auth: OAuth2, refreshToken: string): Promise<Granted> {
  const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken });
  if (auth.clientId !== undefined) form.set('client_id', auth.clientId);
  if (auth.clientSecret !== undefined) form.set('client_secret', auth.clientSecret);
  let status: number;
  let text: string;
  try {
    // A redirect would carry the secrets to where nobody said they may go.
    const signal = AbortSignal.timeout(requestTimeoutMs);
    const response = await fetch(auth.accessUrl, { method: 'POST', body: form, redirect: 'error', signal });
    status = response.status;
    text = await readBounded(response);
  } catch (error) {
    throw new TokenError(`${hostOf(auth)} cannot be asked (${reasonOf(error)})`);
  }
  return parseGrant(auth, status, text);
}

function parseGrant(auth: OAuth2, status: number, text: string): Granted {
  const fields = parseObject(text);
  const { access_token: accessToken, expires_in: expiresIn, refresh_token: refreshToken } = fields;
  if (status === 200 && typeof accessToken === 'string' && accessToken !== '') {
    // RFC 6749 §5.1 recommends expires_in; some endpoints write the number as text.
    const lifetimeSeconds = Number(expiresIn ?? Number.NaN);
    return {
      accessToken,
      expiresAt: lifetimeSeconds > 0 ? Date.now() + lifetimeSeconds * 1000 : Infinity,
      refreshToken: typeof refreshToken === 'string' && refreshToken !== '' ? refreshToken : undefined,
    };
  }
  throw refusalOf(auth, status, fields);
}

/** RFC 6749 §5.2: `error` and its description are the only parts of a response that people get to see. */
function refusalOf(auth: OAuth2, status: number, fields: Readonly<Record<string, unknown>>): TokenError {
  const { error, error_description: description } = fields;
  const words = [error, description].filter((one) => typeof one === 'string').join(': ');
  const isRefusal = typeof error === 'string' && status >= 400 && status < 500 && status !== 429;
  return new TokenError(
    `${hostOf(auth)} answers ${status}${words === '' ? ' without a token' : ` ${words}`}`,
    isRefusal,
  );
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxResponseBytes) throw new Error(`more than ${maxResponseBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function hostOf(auth: OAuth2): string {
  return URL.canParse(auth.accessUrl) ? new URL(auth.accessUrl).host : 'the token endpoint';
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  return systemCodeOf(cause) ?? messageOf(cause ?? error);
}
