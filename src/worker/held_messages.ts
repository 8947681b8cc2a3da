// Held messages: composed because a limit needs their size, and not granted yet.
import type { Composed } from '../compose/compose.ts';
import type { BatchRun } from './batch_run.ts';

/** Signed, where there are keys. */
export type MadeMessage = Exclude<Composed, { readonly kind: 'invalid' }>;

/** Of the recipient whom its run has next, and has not taken: whoever drops it loses nobody and owes nobody. */
interface HeldMessage {
  readonly run: BatchRun;
  readonly row: number;
  readonly made: MadeMessage;
  /** Monotonic. */
  readonly sinceMs: number;
}

/** Messages of 25 MiB are possible. Who waits for a limit and is not asked about next needs none. */
const mostHeld = 8;
/** A message tells when it was made, and so does its signature. */
const mostHeldMs = 60_000;

/** At most one message a flow, and eight in all: for another one the oldest is forgotten, and composed anew when its turn comes. */
export class HeldMessages<Flow extends object> {
  /** The oldest first. */
  readonly #held = new Map<Flow, HeldMessage>();

  /** What is held of a flow, as long as it is fresh and of whom the flow would take next. */
  find(flow: Flow, run: BatchRun | undefined, nowMs: number): MadeMessage | undefined {
    const held = this.#held.get(flow);
    if (held === undefined) return undefined;
    if (held.run === run && held.row === run.next?.row && nowMs - held.sinceMs < mostHeldMs) return held.made;
    this.#held.delete(flow);
    return undefined;
  }

  hold(flow: Flow, held: HeldMessage): void {
    this.#held.set(flow, held);
    const [oldest] = this.#held.keys();
    if (this.#held.size > mostHeld && oldest !== undefined) this.#held.delete(oldest);
  }

  drop(flow: Flow): void {
    this.#held.delete(flow);
  }

  clear(): void {
    this.#held.clear();
  }
}
