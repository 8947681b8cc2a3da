// What a sandbox counts about its sessions.
import type { FaultStage } from './fault.ts';
import { emptyViolations, type Violations } from './violations.ts';

export interface SandboxStats {
  connections: number;
  openConnections: number;
  /** Messages whose end of data was answered 2yz. */
  accepted: number;
  /** Messages that the sandbox took, whatever the client was told; at least `accepted`. */
  taken: number;
  /** Recipients of the messages taken. */
  recipients: number;
  /** Replies 4yz and 5yz by the stage of their command, from faults and from the protocol alike. */
  refused: Record<FaultStage, number>;
  /** Connections that a fault cut. */
  dropped: number;
  commands: number;
  receivedBytes: number;
  /** What the clients did against the rules; of contents only where the sandbox inspects them. */
  violations: Violations;
}

export function emptyStats(): SandboxStats {
  return {
    connections: 0,
    openConnections: 0,
    accepted: 0,
    taken: 0,
    recipients: 0,
    refused: {
      connect: 0,
      greeting: 0,
      ehlo: 0,
      starttls: 0,
      auth: 0,
      mail: 0,
      rcpt: 0,
      data: 0,
      end: 0,
      quit: 0,
    },
    dropped: 0,
    commands: 0,
    receivedBytes: 0,
    violations: emptyViolations(),
  };
}
