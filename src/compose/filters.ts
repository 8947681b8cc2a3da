// The filters that templates have beyond liquidjs's own, or instead of them.
import { filters as builtIn, type FilterImplOptions, type Liquid } from 'liquidjs';
import { isBlank, RenderFailure } from './cell.ts';
import { makeFormats, quoteValue, type Formats } from './formats.ts';
import { makeInstantReader, type ReadInstant } from './instant.ts';
import type { Place } from './part.ts';

/** What filters depend on, besides what they are given. */
export interface FilterSettings {
  readonly locale: string;
  readonly timezone: string;
  /** The moment for which a message is composed: "now" in dates. */
  readonly clock: { now: number };
}

/** Dates repeat in lists, and a formatted one costs liquidjs several Intl objects. */
const mostDates = 2000;

/** Registers them for what is printed at a place. */
export function registerFilters(engine: Liquid, settings: FilterSettings, place: Place): void {
  const formats = makeFormats(settings.locale);
  for (const [name, handler] of Object.entries(numberFilters(formats))) engine.registerFilter(name, handler);
  const readInstant = makeInstantReader(settings.timezone);
  for (const name of dateFilters) {
    engine.registerFilter(name, makeDateFilter(name, readInstant, settings.clock));
  }
  engine.registerFilter('default', replaceBlank);
  for (const name of ineffective[place]) engine.registerFilter(name, (value: unknown) => value);
  if (place === 'html') engine.registerFilter('newline_to_br', newlineToBr);
  // A message is a function of campaign, recipient and time: a retry must not draw another lot.
  engine.unregisterFilter('sample');
  // They evaluate an expression for each element, and nothing counts that.
  for (const name of uncounted) engine.unregisterFilter(name);
}

const uncounted = ['where_exp', 'reject_exp', 'group_by_exp', 'find_exp', 'find_index_exp', 'has_exp'];

const escaping = ['escape', 'xml_escape', 'escape_once'];

/** Filters that leave a value as it is. */
const ineffective: Readonly<Record<Place, readonly string[]>> = {
  plain: [],
  // What is printed is escaped anyway; a second time would show.
  html: escaping,
  // Text has no markup to escape or to make.
  textOfHtml: [...escaping, 'newline_to_br'],
  // Where a value ends is all that stands between a list and the lines of an invitation: there is no way round it.
  calendar: ['raw'],
};

function numberFilters(formats: Formats): Record<string, FilterImplOptions> {
  return {
    // A blank value stays blank, for a default that may follow.
    money: (value: unknown, currency: unknown) =>
      isBlank(value) ? value : formats.money(value, String(currency)),
    number: (value: unknown, digits?: unknown) =>
      isBlank(value) ? value : formats.number(value, typeof digits === 'number' ? digits : undefined),
    list: (value: unknown) => formats.list((Array.isArray(value) ? value : [value]).map(String)),
    plural: (value: unknown, ...forms: readonly unknown[]) =>
      isBlank(value) ? value : choosePlural(formats.pluralOf(value), forms),
  };
}

/** `'item', 'items'`, or the categories by name: `one: 'plik', few: 'pliki', other: 'plików'`. */
function choosePlural(category: Intl.LDMLPluralRule, forms: readonly unknown[]): unknown {
  const named = new Map<unknown, unknown>(
    forms.filter((form) => Array.isArray(form)).map(([name, form]) => [name, form]),
  );
  if (named.size > 0) return named.get(category) ?? named.get('other');
  return category === 'one' ? forms[0] : forms[1];
}

const dateFilters = ['date', 'date_to_xmlschema', 'date_to_rfc822', 'date_to_string', 'date_to_long_string'];

/** liquidjs's own filter on an instant that was read by our rules. */
function makeDateFilter(name: string, readInstant: ReadInstant, clock: { now: number }): FilterImplOptions {
  const known = new Map<string, unknown>();
  const original = builtIn[name];
  return function formatDate(value: unknown, ...args: readonly unknown[]) {
    if (isBlank(value)) return value;
    const instant = readInstant(value, clock.now);
    if (instant === undefined) {
      throw new RenderFailure(
        `${quoteValue(value)} is not a date; expected one such as 2026-09-01 or 2026-09-01T09:30`,
      );
    }
    const key = `${instant}|${args.join('|')}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    // liquidjs reads numbers as seconds.
    const formatted: unknown =
      typeof original === 'function' ? original.call(this, instant / 1000, ...args) : undefined;
    if (known.size >= mostDates) known.clear();
    known.set(key, formatted);
    return formatted;
  };
}

/** As liquidjs's, and for text of blanks, too: what may not be printed without a default must be replaced by it. */
const replaceBlank: FilterImplOptions = (
  value: unknown,
  fallback: unknown,
  ...options: readonly unknown[]
) => {
  if (
    value === false &&
    options.some((one) => Array.isArray(one) && one[0] === 'allow_false' && one[1] === true)
  ) {
    return false;
  }
  return isBlank(value) || value === false ? fallback : value;
};

/** Escapes the text and keeps the breaks as markup. */
const newlineToBr: FilterImplOptions = {
  raw: true,
  handler(value: unknown) {
    const escape = builtIn['escape'];
    const escaped: unknown = typeof escape === 'function' ? escape.call(this, value) : '';
    return String(escaped).replace(/\r\n?|\n/g, '<br>\n');
  },
};
