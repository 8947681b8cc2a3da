// A reply: what a relay answers to one command (RFC 5321 §4.2), and its enhanced status (RFC 3463).

export interface Reply {
  /** The three digits of RFC 5321 §4.2.1, 200–599. */
  readonly replyCode: number;
  /** "4.7.1" where the text begins with one whose class agrees with the reply code (RFC 2034 §4). */
  readonly enhancedStatus: string | undefined;
  /** The text of all lines without reply codes, joined by LF. Not yet safe for terminals. */
  readonly text: string;
}

/** Some relays write "#5.1.0"; an IP address is no status. */
const enhancedStatusPattern = /^#?([245]\.\d{1,3}\.\d{1,3})(?!\d|\.\d)/;

/** How much of a reply is looked at for wording: what providers add behind it is links and trace ids. */
const maxWordingCharacters = 500;

/**
 * Makes a reply of its code and text lines. An enhanced status whose class contradicts the code is ignored:
 * the code decides (RFC 5321 §4.2), and real relays do send `421 … 5.7.32`.
 */
export function makeReply(replyCode: number, text: string): Reply {
  const status = enhancedStatusPattern.exec(text)?.[1];
  const agrees = status !== undefined && Number(status[0]) === Math.floor(replyCode / 100);
  return { replyCode, enhancedStatus: agrees ? status : undefined, text };
}

/** A reply as one line for people and files: "550 5.1.1 no such user"; control characters become spaces. */
export function formatReply(reply: Reply): string {
  // oxlint-disable-next-line no-control-regex -- they are what must not reach a terminal
  return `${reply.replyCode} ${reply.text}`.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
}

/**
 * The words of a reply for comparison with phrases: its first 500 characters in lower case as one line, one space
 * between words and one at each end, without the statuses that providers repeat on every line.
 */
export function plainText(reply: Reply): string {
  const lines = reply.text.slice(0, maxWordingCharacters).toLowerCase();
  return ` ${lines
    .replace(/(?:^|\n)#?[245]\.\d{1,3}\.\d{1,3}(?= )/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()} `;
}
