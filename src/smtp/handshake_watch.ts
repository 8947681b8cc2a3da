// Watches a handshake as nodemailer reports it: how far it has come, and what a relay must not do.
import type { Socket } from 'node:net';
import type { Stage } from '../mail/verdict.ts';
import type { Reply } from '../mail/reply.ts';
import { ReplyParser } from './reply_parser.ts';

/** Replies within AUTH: three mechanisms need at most three, XOAUTH2 four. */
const maxAuthReplies = 8;
/** RFC 4954 §4: a challenge has at most 12,288 octets. */
const maxChallengeBytes = 12_288;

/**
 * The logger of one nodemailer connection, which must log transactions. Only words that the client sent in the open
 * are looked at: the verb of a command, the length and keywords of a reply. Nothing of it is kept.
 */
export class HandshakeWatch {
  /** What was sent last, of commands that this knows; undefined before the first. */
  #command: 'ehlo' | 'starttls' | 'auth' | undefined;
  #offersStartTls = false;
  #isHelo = false;
  #authReplies = 0;
  readonly #onStartTls: () => void;
  readonly #onEndless: () => void;

  /** `onStartTls`: STARTTLS is about to be written. `onEndless`: AUTH goes on beyond all measure. */
  constructor(onStartTls: () => void, onEndless: () => void) {
    this.#onStartTls = onStartTls;
    this.#onEndless = onEndless;
  }

  /** How far the handshake has come; undefined before the first command. */
  get stage(): Stage | undefined {
    return this.#command;
  }

  /** Whether the last EHLO was answered with STARTTLS; known before TLS only. */
  get offersStartTls(): boolean {
    return this.#offersStartTls;
  }

  /** The relay knows no EHLO, so it has no extensions. */
  get isHelo(): boolean {
    return this.#isHelo;
  }

  /** Takes what nodemailer's logger is called with: transactions come at this level. */
  debug(entry: unknown, text: unknown): void {
    const sender = typeof entry === 'object' && entry !== null && 'tnx' in entry ? entry.tnx : undefined;
    if (typeof text !== 'string') return;
    if (sender === 'client') this.#noteCommand(text);
    if (sender === 'server') this.#noteReply(text);
  }

  #noteCommand(line: string): void {
    // Answers to challenges are base64 of UTF-8, which spells none of these but AUTH.
    const verb = /^[A-Z]{4,8}(?= |$)/.exec(line)?.[0];
    if (verb === 'EHLO' || verb === 'HELO') {
      this.#command = 'ehlo';
      this.#isHelo = verb === 'HELO';
    } else if (verb === 'STARTTLS') {
      this.#command = 'starttls';
      this.#onStartTls();
    } else if (verb === 'AUTH') {
      this.#command = 'auth';
    }
  }

  #noteReply(reply: string): void {
    if (this.#command === 'ehlo') this.#offersStartTls = /^250[ -]STARTTLS\b/im.test(reply);
    if (this.#command !== 'auth') return;
    this.#authReplies += 1;
    const isEndless = this.#authReplies > maxAuthReplies || reply.length > maxChallengeBytes;
    if (isEndless) this.#onEndless();
  }
}

/**
 * Calls back when plain text stands behind the reply to STARTTLS, in the same segment (RFC 3207 §6): somebody on the way
 * may have put it there to have it taken for the relay's. nodemailer would throw it away and go on. What comes in a
 * later segment is no TLS and ends the handshake by itself.
 */
export function watchForInjection(socket: Socket, onInjected: () => void): void {
  const parser = new ReplyParser();
  const replies: Reply[] = [];
  const inspect = (chunk: Buffer): void => {
    const problem = parser.feed(chunk, replies);
    if (replies.length === 0 && problem === undefined) return;
    socket.off('data', inspect);
    const isMore = replies.length > 1 || parser.holdsPartialReply || problem !== undefined;
    if (replies.length > 0 && isMore) onInjected();
  };
  socket.on('data', inspect);
}
