// What a client must not do, counted: so that a test can assert that it did none of it.

/**
 * - bareCr, bareLf: a CR or LF that is no part of a CRLF (RFC 5321 §2.3.8).
 * - longLine: more than 998 octets before CRLF (RFC 5322 §2.1.1).
 * - unendedText: content that BDAT brought and that does not end in CRLF (RFC 3030 §2).
 * - secondEndOfData: a lone dot where a command belongs: content had an end of data in it.
 * - eightBit: octets above 127 without BODY=8BITMIME, or in a command without SMTPUTF8.
 * - notOffered: a command or parameter that EHLO did not offer, or that does not exist.
 * - pipelining: something sent before the reply to what must be last in its group (RFC 2920 §3.1), as far as both came
 *   together; without PIPELINING every command is.
 */
export const violationKinds = [
  'bareCr',
  'bareLf',
  'longLine',
  'unendedText',
  'secondEndOfData',
  'eightBit',
  'notOffered',
  'pipelining',
] as const;

export type ViolationKind = (typeof violationKinds)[number];

export type Violations = Record<ViolationKind, number>;

export function emptyViolations(): Violations {
  return {
    bareCr: 0,
    bareLf: 0,
    longLine: 0,
    unendedText: 0,
    secondEndOfData: 0,
    eightBit: 0,
    notOffered: 0,
    pipelining: 0,
  };
}

const maxLineOctets = 998;
const cr = 0x0d;
const lf = 0x0a;

/** Looks at every octet of one message's content, wherever its chunks end. */
export class ContentInspector {
  readonly #violations: Violations;
  #allowsEightBit = false;
  #isEightBit = false;
  #previous = lf;
  #lineOctets = 0;

  constructor(violations: Violations) {
    this.#violations = violations;
  }

  begin(allowsEightBit: boolean): void {
    this.#allowsEightBit = allowsEightBit;
    this.#isEightBit = false;
    this.#previous = lf;
    this.#lineOctets = 0;
  }

  /** The octets of `chunk` from `from` to before `to`. */
  read(chunk: Buffer, from: number, to: number): void {
    let previous = this.#previous;
    let lineOctets = this.#lineOctets;
    for (let at = from; at < to; at += 1) {
      const octet = chunk[at] ?? 0;
      if (octet === lf) {
        if (previous !== cr) this.#violations.bareLf += 1;
        if (lineOctets > maxLineOctets) this.#violations.longLine += 1;
        lineOctets = 0;
      } else {
        if (previous === cr) this.#violations.bareCr += 1;
        if (octet !== cr) lineOctets += 1;
        if (octet > 127) this.#isEightBit = true;
      }
      previous = octet;
    }
    this.#previous = previous;
    this.#lineOctets = lineOctets;
  }

  end(): void {
    // A message of nothing has no line to end.
    if (this.#previous !== lf) this.#violations.unendedText += 1;
    if (this.#isEightBit && !this.#allowsEightBit) this.#violations.eightBit += 1;
  }
}

/** Looks at one command line without its CRLF. */
export function inspectCommand(line: string, allowsUtf8: boolean, violations: Violations): void {
  if (line === '.') violations.secondEndOfData += 1;
  if (line.includes('\r')) violations.bareCr += 1;
  if (line.length > maxLineOctets) violations.longLine += 1;
  if (!allowsUtf8 && Buffer.byteLength(line) > line.length) violations.eightBit += 1;
}
