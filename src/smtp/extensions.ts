// What a relay offers in its answer to EHLO (RFC 5321 §4.1.1.1).

export interface Extensions {
  /** RFC 2920. */
  readonly pipelining: boolean;
  /** RFC 1870: undefined where not offered, 0 where offered without a limit. */
  readonly sizeLimitBytes: number | undefined;
  /** RFC 6152. */
  readonly eightBitMime: boolean;
  /** RFC 6531. */
  readonly smtpUtf8: boolean;
  /** RFC 3030. */
  readonly chunking: boolean;
  /** RFC 3461. */
  readonly dsn: boolean;
  /** RFC 8689; false outside of TLS with a verified certificate, whatever was offered. */
  readonly requireTls: boolean;
}

/**
 * Reads EHLO lines without reply codes and greeting: "PIPELINING", "SIZE 10240000". Keywords are case-insensitive.
 * `isVerified`: the session has TLS, and the relay's certificate was verified.
 */
export function parseExtensions(lines: readonly string[], isVerified: boolean): Extensions {
  const offered = new Map<string, string>();
  for (const line of lines) {
    const [keyword = '', ...parameters] = line.trim().split(/\s+/);
    if (keyword !== '') offered.set(keyword.toUpperCase(), parameters.join(' '));
  }
  return {
    pipelining: offered.has('PIPELINING'),
    sizeLimitBytes: parseSizeLimit(offered.get('SIZE')),
    eightBitMime: offered.has('8BITMIME'),
    smtpUtf8: offered.has('SMTPUTF8'),
    chunking: offered.has('CHUNKING'),
    dsn: offered.has('DSN'),
    // RFC 8689 §4.2.1: only over TLS, to a server whose identity was proved.
    requireTls: isVerified && offered.has('REQUIRETLS'),
  };
}

function parseSizeLimit(parameter: string | undefined): number | undefined {
  if (parameter === undefined) return undefined;
  return /^\d{1,15}$/.test(parameter) ? Number(parameter) : 0;
}
