// A message as the sandbox keeps it, for tests to look at.

export interface KeptMessage {
  /** 1 for the sandbox's first session. */
  readonly session: number;
  /** Milliseconds since the epoch at its end of data. */
  readonly receivedAt: number;
  readonly tls: boolean;
  /** Who had authenticated. */
  readonly user: string | undefined;
  /** '' for the null reverse-path. */
  readonly reversePath: string;
  /** As written: `SIZE=2048`, `RET=HDRS`. */
  readonly mailParameters: readonly string[];
  readonly recipients: readonly string[];
  /** For each recipient, as written: `NOTIFY=NEVER`. */
  readonly rcptParameters: readonly (readonly string[])[];
  /** Came with BDAT (RFC 3030). */
  readonly chunked: boolean;
  /** false where the client was told nothing, or nothing positive. */
  readonly acknowledged: boolean;
  /** The message, its dots unstuffed; empty unless messages are kept. */
  readonly data: Buffer;
}
