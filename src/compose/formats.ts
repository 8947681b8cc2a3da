// How numbers, money, plurals and lists are written in a campaign's locale; formatters are made once.
import { RenderFailure } from './cell.ts';

export interface Formats {
  /** "€1,234.50" for a number or numeric text and a code of ISO 4217. */
  readonly money: (value: unknown, currency: string) => string;
  /** "1,234.5"; with `digits` exactly that many after the point. */
  readonly number: (value: unknown, digits?: number) => string;
  /** The category of CLDR: zero, one, two, few, many, other. */
  readonly pluralOf: (value: unknown) => Intl.LDMLPluralRule;
  /** "Ann, Ben, and Cho". */
  readonly list: (items: readonly string[]) => string;
}

export function makeFormats(locale: string): Formats {
  const moneyOf = memoize(
    (currency: string) => new Intl.NumberFormat(locale, { style: 'currency', currency }),
  );
  const numberOf = memoize((digits: number | undefined) => {
    const exact =
      digits === undefined ? {} : { minimumFractionDigits: digits, maximumFractionDigits: digits };
    return new Intl.NumberFormat(locale, exact);
  });
  const plurals = new Intl.PluralRules(locale);
  const lists = new Intl.ListFormat(locale);
  return {
    money: (value, currency) => moneyOf(currency).format(toNumeric(value)),
    number: (value, digits) => numberOf(digits).format(toNumeric(value)),
    pluralOf: (value) => plurals.select(Number(toNumeric(value))),
    list: (items) => lists.format(items),
  };
}

/** A number, or text that is one: digits with at most one point. Text keeps all its digits. Throws RenderFailure. */
function toNumeric(value: unknown): number | Intl.StringNumericLiteral {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value === 'string') {
    const trimmed = value.trim();
    if (isNumeric(trimmed)) return trimmed;
  }
  throw new RenderFailure(`${quoteValue(value)} is not a number; expected digits with at most one point`);
}

function isNumeric(text: string): text is Intl.StringNumericLiteral {
  return /^[+-]?\d{1,100}(?:\.\d{1,100})?$/.test(text);
}

/** A value for a message to people, in one line and not long. */
export function quoteValue(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing');
  const shown = text.replace(/\p{Cc}+/gu, ' ');
  return `"${shown.length > 40 ? `${shown.slice(0, 40)}…` : shown}"`;
}

function memoize<Key, Made>(make: (key: Key) => Made): (key: Key) => Made {
  const made = new Map<Key, Made>();
  return (key) => {
    const known = made.get(key);
    if (known !== undefined) return known;
    const fresh = make(key);
    made.set(key, fresh);
    return fresh;
  };
}
