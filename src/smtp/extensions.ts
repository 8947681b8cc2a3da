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
}

/** Reads EHLO lines without reply codes and greeting: "PIPELINING", "SIZE 10240000". Keywords are case-insensitive. */
export function parseExtensions(lines: readonly string[]): Extensions {
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
  };
}

function parseSizeLimit(parameter: string | undefined): number | undefined {
  if (parameter === undefined) return undefined;
  return /^\d{1,15}$/.test(parameter) ? Number(parameter) : 0;
}
