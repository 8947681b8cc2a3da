// The mail transactions of a session (RFC 5321 §3.3, RFC 3030): MAIL, RCPT, DATA and BDAT, without the reading.
import { examineAddress } from './address.ts';
import type { Answers } from './answers.ts';
import type { Body } from './body.ts';
import {
  type BdatArgument,
  judgeMailParameters,
  judgeRcptParameters,
  parseBdatArgument,
  parsePathArgument,
  type PathArgument,
} from './command.ts';
import type { SessionSettings } from './options.ts';

/** RFC 5321 §4.5.3.1.8 asks for at least 100. */
const maxRecipients = 1000;
/** The line that ends the content of DATA. */
export const dotLineBytes = 3;

/** A message that was taken, as its transaction knows it. */
export interface TakenMessage {
  readonly mail: PathArgument;
  readonly recipients: readonly string[];
  readonly rcptParameters: readonly (readonly string[])[];
  readonly chunked: boolean;
  readonly acknowledged: boolean;
}

/**
 * ```
 * none ──MAIL──▶ open ──BDAT──▶ chunking ──BDAT LAST──▶ none
 *                 │ a BDAT fails   │ a BDAT fails
 *                 ├───────▶ broken ◀┘  only RSET helps (RFC 3030 §2: the state is indeterminate)
 *                 └──DATA … CRLF.CRLF──▶ none
 * ```
 * RSET, EHLO and TLS lead to none from everywhere.
 */
type State = 'none' | 'open' | 'chunking' | 'broken';

export class Transaction {
  readonly #settings: SessionSettings;
  readonly #answers: Answers;
  readonly #body: Body;
  #state: State = 'none';
  #mail: PathArgument = { path: '', parameters: [] };
  #isUtf8 = false;
  #recipients: string[] = [];
  #rcptParameters: (readonly string[])[] = [];
  /** Some RCPT was refused: "no valid recipients" rather than "no RCPT". */
  #hasRefused = false;
  /** The BDAT whose octets are being read, and why it fails whatever they are. */
  #bdat: BdatArgument = { sizeBytes: 0, isLast: false };
  #bdatRefusal: string | undefined;

  constructor(settings: SessionSettings, answers: Answers, body: Body) {
    this.#settings = settings;
    this.#answers = answers;
    this.#body = body;
  }

  isOpen(): boolean {
    return this.#state !== 'none';
  }

  reset(): void {
    this.#state = 'none';
    this.#recipients = [];
    this.#rcptParameters = [];
    this.#hasRefused = false;
  }

  /** MAIL, once the session allows one. */
  startMail(argument: string, isSecure: boolean): void {
    if (this.#state === 'broken') return this.#answers.refuse('mail', this.#explainState());
    if (this.#state !== 'none') return this.#answers.refuse('mail', '503 5.5.1 Nested MAIL\r\n');
    const mail = parsePathArgument(argument, 'FROM:');
    if (mail === undefined) {
      return this.#answers.refuse('mail', '501 5.5.4 Syntax: MAIL FROM:<address> [parameters]\r\n');
    }
    const verdict = judgeMailParameters(mail.parameters, this.#settings, isSecure);
    if (verdict.kind === 'refused') return this.#answers.refuse('mail', verdict.reply);
    const form = mail.path === '' ? 'ascii' : examineAddress(mail.path);
    if (form === 'malformed') return this.#answers.refuse('mail', '501 5.1.7 Malformed address\r\n');
    // RFC 6531 §3.5.
    if (form === 'utf8' && !verdict.isUtf8)
      return this.#answers.refuse('mail', '553 5.6.7 SMTPUTF8 needed\r\n');
    if (!this.#answers.mayGoOn('mail', [mail.path], mail.path)) return;
    this.#state = 'open';
    this.#mail = mail;
    this.#isUtf8 = verdict.isUtf8;
    this.#answers.accept('250 2.1.0 Sender ok\r\n');
  }

  addRcpt(argument: string): void {
    if (this.#state !== 'open') return this.#answers.refuse('rcpt', this.#explainState());
    const rcpt = parsePathArgument(argument, 'TO:');
    const refusal = this.#judgeRcpt(rcpt);
    if (refusal !== undefined) this.#answers.refuse('rcpt', refusal);
    const isFine = refusal === undefined && rcpt !== undefined;
    if (!isFine || !this.#answers.mayGoOn('rcpt', [rcpt.path], this.#mail.path)) {
      this.#hasRefused = true;
      return;
    }
    this.#recipients.push(rcpt.path);
    this.#rcptParameters.push(rcpt.parameters);
    this.#answers.accept('250 2.1.5 Recipient ok\r\n');
  }

  #judgeRcpt(rcpt: PathArgument | undefined): string | undefined {
    if (rcpt === undefined) return '501 5.5.4 Syntax: RCPT TO:<address> [parameters]\r\n';
    const verdict = judgeRcptParameters(rcpt.parameters, this.#settings);
    if (verdict.kind === 'refused') return verdict.reply;
    // RFC 5321 §4.5.1: <Postmaster> needs no domain.
    const form = rcpt.path.toLowerCase() === 'postmaster' ? 'ascii' : examineAddress(rcpt.path);
    if (form === 'malformed') return '501 5.1.3 Malformed address\r\n';
    if (form === 'utf8' && !this.#isUtf8) return '553 5.6.7 SMTPUTF8 needed\r\n';
    return this.#recipients.length >= maxRecipients ? '452 4.5.3 Too many recipients\r\n' : undefined;
  }

  /** Why a command that needs an open transaction without BDAT cannot be. */
  #explainState(): string {
    if (this.#state === 'broken') return '503 5.5.1 BDAT failed, RSET first\r\n';
    return this.#state === 'chunking' ? '503 5.5.1 BDAT has begun\r\n' : '503 5.5.1 MAIL first\r\n';
  }

  /** DATA: true where the message's content comes next. */
  startData(argument: string): boolean {
    const refusal = argument === '' ? undefined : '501 5.5.4 DATA takes no argument\r\n';
    const disorder = this.#state === 'open' ? refusal : this.#explainState();
    if (disorder !== undefined) this.#answers.refuse('data', disorder);
    if (disorder !== undefined || !this.#mayGoOn('data')) return false;
    // A fault may word a 354 even without recipients, as real relays do (RFC 2920 §3.1 speaks of those).
    if (this.#recipients.length === 0 && !this.#answers.isReworded()) {
      this.#answers.refuse('data', this.#missRecipients());
      return false;
    }
    this.#body.reset(this.#allowsEightBit());
    this.#answers.accept('354 End data with <CR><LF>.<CR><LF>\r\n');
    return true;
  }

  #mayGoOn(stage: 'data' | 'end'): boolean {
    return this.#answers.mayGoOn(stage, this.#recipients, this.#mail.path);
  }

  /** RFC 6152 §3. */
  #allowsEightBit(): boolean {
    return this.#mail.parameters.some((one) => one.toUpperCase() === 'BODY=8BITMIME');
  }

  #missRecipients(): string {
    return this.#hasRefused ? '554 5.5.1 No valid recipients\r\n' : '503 5.5.1 RCPT first\r\n';
  }

  /** The end of the content of DATA. Returns the message where it was taken. */
  endData(): TakenMessage | undefined {
    this.#body.end();
    const taken = this.#endMessage(this.#body.sizeBytes - dotLineBytes, false);
    this.reset();
    return taken;
  }

  /** BDAT: the number of octets that come next, wanted or not; undefined where it is no BDAT at all. */
  startBdat(argument: string): number | undefined {
    const isOffered = this.#settings.extensions.has('CHUNKING');
    const bdat = parseBdatArgument(argument);
    if (!isOffered) this.#answers.refuseUnoffered('data', '502 5.5.1 CHUNKING not offered\r\n');
    else if (bdat === undefined) this.#answers.refuse('data', '501 5.5.4 Syntax: BDAT size [LAST]\r\n');
    if (!isOffered || bdat === undefined) return undefined;
    this.#bdat = bdat;
    this.#bdatRefusal = this.#judgeOrderOfBdat();
    if (this.#state !== 'chunking') this.#body.reset(this.#allowsEightBit());
    return bdat.sizeBytes;
  }

  #judgeOrderOfBdat(): string | undefined {
    if (this.#state === 'none' || this.#state === 'broken') return this.#explainState();
    return this.#recipients.length === 0 ? this.#missRecipients() : undefined;
  }

  /** The end of a BDAT's octets. Returns the message where this was its last one and it was taken. */
  endBdat(): TakenMessage | undefined {
    const { isLast } = this.#bdat;
    if (isLast) this.#body.end();
    if (this.#bdatRefusal !== undefined) {
      if (this.#state === 'open') this.#state = 'broken';
      this.#answers.refuse(isLast ? 'end' : 'data', this.#bdatRefusal);
      return undefined;
    }
    const taken = isLast ? this.#endMessage(this.#body.sizeBytes, true) : undefined;
    if (taken !== undefined) this.reset();
    else this.#state = !isLast && this.#takeChunk() ? 'chunking' : 'broken';
    return taken;
  }

  #takeChunk(): boolean {
    if (this.#body.sizeBytes > this.#settings.sizeLimitBytes) {
      this.#answers.refuse('data', '552 5.3.4 Message too big\r\n');
      return false;
    }
    if (!this.#mayGoOn('data')) return false;
    this.#answers.accept('250 2.0.0 Chunk taken\r\n');
    return true;
  }

  #endMessage(sizeBytes: number, chunked: boolean): TakenMessage | undefined {
    const recipients = this.#recipients;
    if (recipients.length === 0) this.#answers.refuse('end', '554 5.5.1 No valid recipients\r\n');
    else if (sizeBytes > this.#settings.sizeLimitBytes)
      this.#answers.refuse('end', '552 5.3.4 Message too big\r\n');
    else if (this.#mayGoOn('end')) {
      const acknowledged = this.#answers.acceptMessage(recipients.length);
      return { mail: this.#mail, recipients, rcptParameters: this.#rcptParameters, chunked, acknowledged };
    }
    return undefined;
  }
}
