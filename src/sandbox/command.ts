// Parses the arguments of MAIL, RCPT and BDAT (RFC 5321 §4.1.2, RFC 3030 §2) and judges their parameters.
import type { SandboxExtension } from './extensions.ts';
import type { SessionSettings } from './options.ts';

/** The path and parameters of a MAIL or RCPT. */
export interface PathArgument {
  /** What stood between the angle brackets, without a source route; may be empty. */
  readonly path: string;
  /** As written: `SIZE=2048`, `smtputf8`. */
  readonly parameters: readonly string[];
}

const noParameters: readonly string[] = [];

/** Parses "FROM:<a@b.example> SIZE=2048"; undefined where it is not that. No blanks around the colon (RFC 5321 §3.3). */
export function parsePathArgument(argument: string, keyword: 'FROM:' | 'TO:'): PathArgument | undefined {
  const from = keyword.length;
  if (argument.charAt(from) !== '<' || argument.slice(0, from).toUpperCase() !== keyword) return undefined;
  const end = findPathEnd(argument, from + 1);
  if (end < 0) return undefined;
  const path = removeRoute(argument.slice(from + 1, end));
  if (end + 1 === argument.length) return { path, parameters: noParameters };
  if (argument.charAt(end + 1) !== ' ') return undefined;
  const parameters = argument
    .slice(end + 2)
    .split(' ')
    .filter((word) => word !== '');
  return { path, parameters };
}

/** The position of the `>` that is not inside a quoted local part, or -1. */
function findPathEnd(text: string, from: number): number {
  let isQuoted = false;
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x3e && !isQuoted) return at;
    if (code === 0x22) isQuoted = !isQuoted;
    else if (code === 0x5c && isQuoted) at += 1;
  }
  return -1;
}

/** A source route is taken and ignored (RFC 5321 §4.1.1.3). */
function removeRoute(path: string): string {
  return path.charAt(0) === '@' ? path.slice(path.indexOf(':') + 1) : path;
}

/** What the parameters of a command mean to a session. */
export type ParameterVerdict =
  | { readonly kind: 'fine'; readonly isUtf8: boolean }
  | { readonly kind: 'refused'; readonly reply: string };

const fine: ParameterVerdict = { kind: 'fine', isUtf8: false };
const fineUtf8: ParameterVerdict = { kind: 'fine', isUtf8: true };

/** What a parameter belongs to, and the pattern of its value; '' for one without a value. */
type ParameterTable = Readonly<Record<string, readonly [SandboxExtension, RegExp]>>;

const none = /^$/;
/** RFC 3461 §4: printable ASCII without + and =, the rest as +XX; §4.4: an ENVID of at most 100 characters. */
const xtext = /^=(?=.{0,100}$)(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/;

const mailParameters: ParameterTable = {
  SIZE: ['SIZE', /^=\d{1,20}$/],
  BODY: ['8BITMIME', /^=(?:7BIT|8BITMIME)$/i],
  SMTPUTF8: ['SMTPUTF8', none],
  RET: ['DSN', /^=(?:FULL|HDRS)$/i],
  ENVID: ['DSN', xtext],
  REQUIRETLS: ['REQUIRETLS', none],
};

const rcptParameters: ParameterTable = {
  NOTIFY: ['DSN', /^=(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*)$/i],
  // RFC 3461 §4.2: at most 500 characters.
  ORCPT: ['DSN', /^=(?=.{1,500}$)[A-Za-z0-9-]+;(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/],
};

/** `isSecure`: inside TLS. Judges MAIL's parameters; AUTH= belongs to the AUTH extension (RFC 4954 §5) and its value is not looked at. */
export function judgeMailParameters(
  parameters: readonly string[],
  settings: SessionSettings,
  isSecure: boolean,
): ParameterVerdict {
  if (parameters.length === 0) return fine;
  const hasAuth = settings.account !== undefined;
  const others = hasAuth ? parameters.filter((one) => !/^AUTH=/i.test(one)) : parameters;
  const refusal = judgeParameters(others, mailParameters, settings.extensions);
  if (refusal !== undefined) return { kind: 'refused', reply: refusal };
  // RFC 8689 §3: in the clear it was not offered.
  if (!isSecure && others.some((one) => one.toUpperCase() === 'REQUIRETLS'))
    return { kind: 'refused', reply: notOffered };
  const declared = others.find((one) => /^SIZE=/i.test(one));
  // RFC 1870 §6.1: a declared size over the limit is refused before anything is transferred.
  if (declared !== undefined && Number(declared.slice(5)) > settings.sizeLimitBytes) {
    return { kind: 'refused', reply: '552 5.3.4 Message too big, see SIZE\r\n' };
  }
  return others.some((one) => one.toUpperCase() === 'SMTPUTF8') ? fineUtf8 : fine;
}

export function judgeRcptParameters(
  parameters: readonly string[],
  settings: SessionSettings,
): ParameterVerdict {
  if (parameters.length === 0) return fine;
  const refusal = judgeParameters(parameters, rcptParameters, settings.extensions);
  return refusal === undefined ? fine : { kind: 'refused', reply: refusal };
}

const notOffered = '555 5.5.4 Parameter not offered\r\n';

function judgeParameters(
  parameters: readonly string[],
  table: ParameterTable,
  extensions: ReadonlySet<SandboxExtension>,
): string | undefined {
  for (const parameter of parameters) {
    const equals = parameter.indexOf('=');
    const keyword = (equals < 0 ? parameter : parameter.slice(0, equals)).toUpperCase();
    const known = Object.hasOwn(table, keyword) ? table[keyword] : undefined;
    // RFC 5321 §4.1.1.11: 555 for what was not offered.
    if (known === undefined || !extensions.has(known[0])) return notOffered;
    if (!known[1].test(parameter.slice(keyword.length))) return `501 5.5.4 Bad value of ${keyword}\r\n`;
  }
  return undefined;
}

/** The arguments of a BDAT. */
export interface BdatArgument {
  readonly sizeBytes: number;
  readonly isLast: boolean;
}

/** Parses "2048" or "2048 LAST"; undefined where it is neither, or too big to count exactly. */
export function parseBdatArgument(argument: string): BdatArgument | undefined {
  const match = /^(\d{1,15})( LAST)?$/i.exec(argument);
  return match === null ? undefined : { sizeBytes: Number(match[1]), isLast: match[2] !== undefined };
}
