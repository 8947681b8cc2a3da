// Watches what a client sends ahead of the replies that it has to wait for (RFC 2920 §3.1).
import type { Violations } from './violations.ts';

/** BDAT as servers and clients have it in practice (RFC 3030 §4.2 pipelines it). All other commands end a group. */
const groupable: ReadonlySet<string> = new Set(['MAIL', 'RCPT', 'RSET', 'BDAT']);

export class GroupWatch {
  readonly #violations: Violations;
  /** What was read last and is not answered yet: what is read behind it was sent ahead. */
  #unanswered: 'nothing' | 'groupable' | 'last' = 'nothing';

  constructor(violations: Violations) {
    this.#violations = violations;
  }

  /** The client has seen all replies. */
  catchUp(): void {
    this.#unanswered = 'nothing';
  }

  /** A command was read; `mayGroup` where PIPELINING was offered. */
  noteCommand(verb: string, mayGroup: boolean): void {
    const before = this.#unanswered;
    if (before === 'last' || (before === 'groupable' && !mayGroup)) this.#violations.pipelining += 1;
    this.#unanswered = groupable.has(verb) ? 'groupable' : 'last';
  }

  /** Content of DATA was read, which has to wait for the 354. */
  noteContent(): void {
    if (this.#unanswered === 'last') this.#violations.pipelining += 1;
    this.#unanswered = 'nothing';
  }

  /** The content's end was read: it may begin a group. */
  noteEndOfData(): void {
    this.#unanswered = 'groupable';
  }
}
