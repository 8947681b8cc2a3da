// Whose turn it is on a connection: a client may keep us waiting for so long only, while we may take what our work takes.
import type { Socket } from 'node:net';

/** Waits for something that the client does: sends more of a body, reads what it was sent. */
export type WaitForClient = <T>(deed: Promise<T>) => Promise<T>;

export class Turns {
  /** Requests that are being answered and do not wait for the client. */
  readonly #ours = new WeakMap<Socket, number>();

  /** A request has come; what is returned waits for its client. */
  begin(socket: Socket): WaitForClient {
    this.#add(socket, 1);
    return async (deed) => {
      this.#add(socket, -1);
      try {
        return await deed;
      } finally {
        this.#add(socket, 1);
      }
    };
  }

  /** All is said. */
  end(socket: Socket): void {
    this.#add(socket, -1);
  }

  isOurs(socket: Socket): boolean {
    return (this.#ours.get(socket) ?? 0) > 0;
  }

  #add(socket: Socket, more: number): void {
    this.#ours.set(socket, (this.#ours.get(socket) ?? 0) + more);
  }
}
