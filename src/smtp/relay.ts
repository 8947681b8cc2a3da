// A relay as the SMTP client sees it: where it is, how it is secured, and how much it may be given.
import type { Rate } from '../base/quantity.ts';

/** Plain data: it crosses threads, secrets included, and is never logged. */
export interface RelayOptions {
  /** The name that metrics, results and messages use. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** tls: from the first byte (465). starttls: required, never given up (587, 25). plain: loopback or by explicit wish. */
  readonly security: 'tls' | 'starttls' | 'plain';
  /** Never with `security: plain`. `method` absent: PLAIN where offered, else LOGIN. */
  readonly auth?:
    | { readonly user: string; readonly pass: string; readonly method?: 'PLAIN' | 'LOGIN' | undefined }
    | undefined;
  /** Sessions at once, over all threads. */
  readonly maxConnections: number;
  /** Messages after which a session is replaced. */
  readonly maxMessages: number;
  readonly rate?: Rate | undefined;
  /**
   * auto: standard where the relay offers PIPELINING (RFC 2920), else off. off: one command at a time. deep: several
   * whole transactions at once where the relay also offers CHUNKING (RFC 3030), else as auto.
   */
  readonly pipelining: 'auto' | 'off' | 'standard' | 'deep';
  /** In deep: the most transactions on the wire of one session; that many may be in doubt after a drop. */
  readonly inFlight: number;
  /** Name for EHLO; the machine's where absent. */
  readonly clientName?: string | undefined;
  /** Local address to connect from. */
  readonly localAddress?: string | undefined;
  readonly tls: {
    /** PEM certificates to trust instead of the system's. */
    readonly ca?: string | undefined;
    /** Name to verify; `host` where absent. */
    readonly servername?: string | undefined;
    /** false only for relays that the configuration marks as development relays. */
    readonly rejectUnauthorized: boolean;
  };
  readonly connectionTimeoutMs: number;
  readonly greetingTimeoutMs: number;
  /** Longest wait for a reply to any command but the end of data. */
  readonly commandTimeoutMs: number;
  /** Longest wait for the reply to the end of data (RFC 5321 §4.5.3.2.6: 10 minutes). */
  readonly endOfDataTimeoutMs: number;
}
