// The options of a sandbox, and the settings that they become.
import type { Account, AuthMethod } from './auth.ts';
import { type SandboxExtension, sandboxExtensions } from './extensions.ts';
import type { Fault } from './fault.ts';

export type SandboxSecurity = 'none' | 'starttls' | 'implicit';

export type CertificateFlaw = 'wrong-name' | 'expired';

/** What is remembered for tests. 'none' still counts. */
type KeepLevel = 'none' | 'envelopes' | 'messages';

export interface SandboxOptions {
  /** 127.0.0.1 where absent. */
  readonly host?: string | undefined;
  /** 0, which means any free one, where absent. */
  readonly port?: number | undefined;
  /** starttls: offered, not required. implicit: TLS from the first byte. none where absent. */
  readonly tls?: SandboxSecurity | undefined;
  /** PEM. Generated and self-signed for localhost, 127.0.0.1, ::1 and `host` where absent. */
  readonly certificate?: { readonly key: string; readonly cert: string } | undefined;
  /** What is wrong with the generated one: it is for another name, or its time is over. */
  readonly certificateFlaw?: CertificateFlaw | undefined;
  readonly auth?: SandboxAuth | undefined;
  /** All where absent. */
  readonly extensions?: readonly SandboxExtension[] | undefined;
  /** 25 MiB where absent. */
  readonly sizeLimitBytes?: number | undefined;
  readonly faults?: readonly Fault[] | undefined;
  /** 'none' where absent: the others grow with every message. */
  readonly keep?: KeepLevel | undefined;
  /** Looks at every octet of the contents and counts what breaks the rules in `violations`; false where absent. */
  readonly inspect?: boolean | undefined;
  /** Decides which addresses are in a fault's `share`; 1 where absent. */
  readonly seed?: number | undefined;
  /**
   * Every reply arrives this much later, as over a long line: pipelined replies together, and nothing else waits. The TLS
   * handshake is not delayed.
   */
  readonly latencyMs?: number | undefined;
}

/** Offered from the start with `tls: 'none'`; else inside TLS only (538 before). */
interface SandboxAuth extends Account {
  /** MAIL without AUTH gets 530; true where absent. */
  readonly required?: boolean | undefined;
  /** Both where absent. */
  readonly methods?: readonly AuthMethod[] | undefined;
}

/** What a session has to know: the options with nothing left open. */
export interface SessionSettings {
  readonly tls: SandboxSecurity;
  readonly account: Account | undefined;
  readonly authRequired: boolean;
  readonly authMethods: readonly AuthMethod[];
  readonly extensions: ReadonlySet<SandboxExtension>;
  readonly sizeLimitBytes: number;
  readonly keep: KeepLevel;
  readonly inspect: boolean;
}

const defaultSizeLimitBytes = 26_214_400;

export function settleSession(options: SandboxOptions): SessionSettings {
  return {
    tls: options.tls ?? 'none',
    account: options.auth,
    authRequired: options.auth !== undefined && (options.auth.required ?? true),
    authMethods: options.auth === undefined ? [] : (options.auth.methods ?? ['PLAIN', 'LOGIN']),
    extensions: new Set(options.extensions ?? sandboxExtensions),
    sizeLimitBytes: options.sizeLimitBytes ?? defaultSizeLimitBytes,
    keep: options.keep ?? 'none',
    inspect: options.inspect ?? false,
  };
}
