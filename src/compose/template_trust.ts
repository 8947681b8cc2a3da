// What a template may print without escaping, and whether its filters are given what they need.
import {
  AssignTag,
  CaptureTag,
  ForTag,
  TablerowTag,
  toValueSync,
  TypeGuards,
  type Filter,
  type Template,
} from 'liquidjs';
import { templateError } from './liquid_engine.ts';
import type { Printed } from './value_guard.ts';

/** Who may print with `raw`. */
export interface RawTrust {
  /** Names of trusted columns and of the campaign's data. */
  readonly trusted: ReadonlySet<string>;
  /** Names that `capture` makes: what they hold was escaped when it was printed. */
  readonly captured: ReadonlySet<string>;
  /** Names that the template gives to other values. */
  readonly reassigned: ReadonlySet<string>;
  /** `block.super` may be somebody's value: a column, data or the template has the name `block`. */
  readonly hidesBlock: boolean;
}

/**
 * Reads off a template and its partials which names it makes. A captured name that is `taken`, too, is not safe: before the
 * capture, and in partials that do not see it, the column's value would be printed.
 */
export function makeTrust(templates: readonly Template[], options: TrustOptions): RawTrust {
  const names: MadeNames = { captured: new Set(), reassigned: new Set(), sources: options.sources };
  collectNames(templates, names, new Set());
  for (const name of names.captured) if (options.isTaken(name)) names.reassigned.add(name);
  const { captured, reassigned } = names;
  const hidesBlock = options.isTaken('block') || captured.has('block') || reassigned.has('block');
  return { trusted: options.trusted, captured, reassigned, hidesBlock };
}

export interface TrustOptions {
  /** Names of trusted columns and of the campaign's data. */
  readonly trusted: ReadonlySet<string>;
  /** Whether a column or data has the name. */
  readonly isTaken: (name: string) => boolean;
  /** The files that there are; others are the walk's to refuse. */
  readonly sources: ReadonlyMap<string, unknown>;
}

interface MadeNames {
  readonly captured: Set<string>;
  readonly reassigned: Set<string>;
  readonly sources: ReadonlyMap<string, unknown>;
}

function collectNames(templates: readonly Template[], made: MadeNames, files: ReadonlySet<string>): void {
  const { captured, reassigned, sources } = made;
  for (const template of templates) {
    if (template instanceof CaptureTag) captured.add(template.variable);
    else if (template instanceof AssignTag)
      for (const { content } of template.localScope()) reassigned.add(content);
    if (template instanceof ForTag || template instanceof TablerowTag) reassigned.add(template.variable);
    const partial = 'partialScope' in template ? template.partialScope?.() : undefined;
    for (const name of partial?.scope ?? []) reassigned.add(typeof name === 'string' ? name : name[0]);
    const isNew = partial !== undefined && !files.has(partial.name) && sources.has(partial.name);
    const inner = isNew ? new Set([...files, partial.name]) : files;
    collectNames(childrenOf(template, isNew), made, inner);
  }
}

function childrenOf(template: Template, readsFile: boolean): readonly Template[] {
  return template.children === undefined ? [] : toValueSync(template.children(readsFile, true));
}

/** Refuses `raw` where the value is not the campaign's own or trusted HTML, or where markup would break the tag around. */
export function checkRaw(printed: Printed, takesMarkup: boolean, trust: RawTrust): void {
  const { value, written, where } = printed;
  const last = written.at(-1)?.name ?? '';
  if (!takesMarkup) {
    throw rawError(
      `The filter "${last}" prints markup inside of a tag or a title.`,
      'Use it between elements only.',
      where,
    );
  }
  if (last !== 'raw') return;
  const [initial] = value.initial.postfix.length === 1 ? value.initial.postfix : [];
  const isSafe = isTrusted(initial, trust) && written.every((filter) => filter.args.every(isLiteral));
  if (isSafe) return;
  throw rawError(
    'The filter "raw" prints a value that is not known to be safe HTML.',
    'Leave "raw" out, or list the column under `trusted:` and print it by itself; only do so if no recipient can write it.',
    where,
  );
}

function isTrusted(initial: unknown, { trusted, captured, reassigned }: RawTrust): boolean {
  if (!TypeGuards.isPropertyAccessToken(initial) || initial.variable !== undefined) return false;
  const [root] = initial.props;
  if (!TypeGuards.isWordToken(root) && !TypeGuards.isQuotedToken(root)) return false;
  const name = root.content;
  if (captured.has(name)) return !reassigned.has(name) && initial.props.length === 1;
  return trusted.has(name) && !reassigned.has(name);
}

function isLiteral(argument: Filter['args'][number]): boolean {
  const token = Array.isArray(argument) ? argument[1] : argument;
  return (
    TypeGuards.isQuotedToken(token) || TypeGuards.isNumberToken(token) || TypeGuards.isLiteralToken(token)
  );
}

/** Refuses filters that would fail for every recipient. */
export function checkFilters(written: readonly Filter[], where: string): void {
  for (const { name, args } of written) {
    if (name === 'money' && !isCurrency(args[0])) {
      throw filterError("The filter money needs a currency of ISO 4217, such as money: 'EUR'.", where);
    }
    if (name === 'plural' && !isPluralForms(args)) {
      throw filterError(
        "The filter plural needs plural: 'item', 'items', or forms by name with other: among them.",
        where,
      );
    }
  }
}

function isCurrency(argument: Filter['args'][number] | undefined): boolean {
  return (
    TypeGuards.isPropertyAccessToken(argument) ||
    (TypeGuards.isQuotedToken(argument) && /^[A-Z]{3}$/.test(argument.content))
  );
}

function isPluralForms(args: Filter['args']): boolean {
  const names = args.map((argument) => (Array.isArray(argument) ? argument[0] : undefined));
  if (names.every((name) => name === undefined)) return args.length === 2;
  return names.includes('other') && names.every((name) => name !== undefined && pluralNames.has(name));
}

const pluralNames = new Set<string>(['zero', 'one', 'two', 'few', 'many', 'other']);

function rawError(message: string, hint: string, where: string) {
  return templateError({ code: 'ERR_TEMPLATE_RAW', message, hint, where });
}

function filterError(message: string, where: string) {
  return templateError({ code: 'ERR_TEMPLATE_FILTER', message, hint: 'Correct its arguments.', where });
}
