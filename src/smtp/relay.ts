// A relay as the SMTP client sees it: where it is, how it is secured, and how much it may be given.

/** Plain data: it crosses threads, secrets included, and is never logged. */
export interface RelayOptions {
  /** The name that metrics, results and messages use. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** tls: from the first byte (465). starttls: required, never given up (587, 25). plain: loopback or by explicit wish. */
  readonly security: 'tls' | 'starttls' | 'plain';
  /** Never with `security: plain`; the handshake refuses that. */
  readonly auth?: PasswordAuth | OAuth2 | undefined;
  /** The way to the relay, where there is no direct one. The proxy resolves the relay's name. */
  readonly proxy?: RelayProxy | undefined;
  /** Sessions at once, over all threads. */
  readonly maxConnections: number;
  /** Messages after which a session is replaced. */
  readonly maxMessages: number;
  /**
   * auto: standard where the relay offers PIPELINING (RFC 2920), else off. off: one command at a time. deep: several
   * whole transactions at once where the relay also offers CHUNKING (RFC 3030), else as auto.
   */
  readonly pipelining: 'auto' | 'off' | 'standard' | 'deep';
  /** In deep: the most transactions on the wire of one session; that many may be in doubt after a drop. */
  readonly inFlight: number;
  /** Name for EHLO; the machine's where absent. */
  readonly clientName?: string | undefined;
  /** Local address to connect from. Not through an HTTP proxy. */
  readonly localAddress?: string | undefined;
  readonly tls: {
    /** PEM certificates to trust instead of the system's. */
    readonly ca?: string | undefined;
    /** Name to verify; `host` where absent. */
    readonly servername?: string | undefined;
    /** false only for relays that the configuration marks as development relays. */
    readonly rejectUnauthorized: boolean;
    /** TLSv1.2 where absent: RFC 8996 forbids what is older. */
    readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined;
    /** PEM chain of a client certificate, with its PEM key and the passphrase of that. */
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
    readonly passphrase?: string | undefined;
  };
  readonly connectionTimeoutMs: number;
  readonly greetingTimeoutMs: number;
  /** Longest wait for a reply to any command but the end of data. */
  readonly commandTimeoutMs: number;
  /** Longest wait for the reply to the end of data (RFC 5321 §4.5.3.2.6: 10 minutes). */
  readonly endOfDataTimeoutMs: number;
}

/** User and password (RFC 4954). `method` absent: the first of these that the relay offers. */
export interface PasswordAuth {
  readonly type?: undefined;
  readonly user: string;
  readonly pass: string;
  readonly method?: 'PLAIN' | 'LOGIN' | 'CRAM-MD5' | undefined;
}

/** XOAUTH2. Without `refreshToken` the access token is all there is. */
export interface OAuth2 {
  readonly type: 'OAuth2';
  readonly user: string;
  readonly accessToken?: string | undefined;
  /** When the given access token ends, in milliseconds since the epoch; unknown where absent. */
  readonly expiresAt?: number | undefined;
  readonly refreshToken?: string | undefined;
  readonly clientId?: string | undefined;
  readonly clientSecret?: string | undefined;
  /** Where access tokens are had (RFC 6749 §3.2). */
  readonly accessUrl: string;
}

/** http and https: CONNECT (RFC 9110 §9.3.6). socks5: RFC 1928, with RFC 1929 for the credentials. */
export interface RelayProxy {
  readonly kind: 'http' | 'https' | 'socks5';
  readonly host: string;
  readonly port: number;
  readonly user?: string | undefined;
  readonly pass?: string | undefined;
}
