// The hand-over: what we take of nodemailer's connection beyond its public face, checked where it is read.
import type { Socket } from 'node:net';
import { HandshakeError } from './handshake_failure.ts';

/** A connection of nodemailer as far as we look into it. Its types show `_socket` only. */
export interface Connected {
  readonly _socket: Socket | false | null;
  /** The last answer to EHLO without its first line; after TLS that of the secured session (RFC 3207 §4.2). */
  readonly _ehloLines?: unknown;
  /** What came behind the last whole line. */
  readonly _remainder?: unknown;
  /** Replies that nobody has taken. */
  readonly _responseQueue?: unknown;
}

/** What the relay offers, without another round trip. Throws HandshakeError. */
export function ehloLinesOf(connection: Connected): readonly string[] {
  const { _ehloLines: lines } = connection;
  if (!Array.isArray(lines) || !lines.every((line) => typeof line === 'string')) {
    throw new HandshakeError('broken', 'it keeps no EHLO lines');
  }
  return lines;
}

// The events nodemailer listens to.
const takenEvents = ['data', 'end', 'close', 'error', 'timeout'] as const;

/** From here on nodemailer neither reads, writes nor times this socket. Throws HandshakeError. */
export function takeSocket(connection: Connected): Socket {
  const { _socket: socket, _remainder: remainder, _responseQueue: queue } = connection;
  if (!socket || socket.destroyed || !socket.writable) throw new HandshakeError('closed');
  if (typeof remainder !== 'string' || !Array.isArray(queue)) {
    throw new HandshakeError('broken', 'it keeps no queue of replies');
  }
  if (remainder !== '' || queue.length > 0) throw new HandshakeError('unasked');
  for (const event of takenEvents) socket.removeAllListeners(event);
  socket.setTimeout(0);
  // Paused until the session listens, so that bytes in between are kept.
  socket.pause();
  return socket;
}
