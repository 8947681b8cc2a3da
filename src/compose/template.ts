// A campaign's templates become pieces: text that all get, cells that are spliced in, and what needs Liquid.
import { Output, toValueSync, TypeGuards, type Template } from 'liquidjs';
import type { Campaign, TemplateSource } from '../mail/campaign.ts';
import type { Cell } from '../mail/recipient.ts';
import { PlacedFailure, RenderFailure } from './cell.ts';
import { withoutMarks } from './calendar.ts';
import { findNearestName, type ColumnNames } from './columns.ts';
import { expandFiles } from './expand.ts';
import type { ValueRule } from './html_place.ts';
import {
  locate,
  locateTemplate,
  main,
  makeEngine,
  orSyntaxError,
  parse,
  preheaderName,
  render,
  templateError,
  type Engine,
  type Scope,
} from './liquid_engine.ts';
import { rulesOf, type Part, type PartRules } from './part.ts';
import { placePreheader } from './preheader.ts';
import { makeTrust } from './template_trust.ts';
import { walkTemplate, type PrintedValues } from './template_walk.ts';
import { missingReason, type Printed } from './value_guard.ts';

export { render as renderLiquid } from './liquid_engine.ts';

/**
 * Part of a template.
 * - static: text that every recipient gets.
 * - column: a cell, or `fallback` where the cell is blank. Invariant: prints what liquidjs would print, under the same
 *   rules; bench/compose.ts shows what the short cut earns.
 * - liquid: anything else, rendered per recipient.
 */
export type Piece =
  | { readonly kind: 'static'; readonly text: string }
  | {
      readonly kind: 'column';
      readonly name: string;
      readonly index: number;
      readonly fallback: string | undefined;
      readonly rule: ValueRule;
      readonly where: string;
      /** Why a row is invalid whose cell is blank; undefined where that prints nothing. */
      readonly missingReason: string | undefined;
    }
  | {
      readonly kind: 'liquid';
      readonly templates: Template[];
      readonly engine: Engine;
      /** Name of the last filter, where this is an output. */
      readonly lastFilter?: string | undefined;
    };

/** In messages to people. */
const shownNames = 30;

/** What the templates of a campaign share. */
export interface TemplateHouse {
  readonly campaign: Campaign;
  readonly columns: ColumnNames;
  /** Names that `raw` may print. */
  readonly trusted: ReadonlySet<string>;
  /** The moment for which a message is composed. */
  readonly clock: { now: number };
}

export function makeHouse(campaign: Campaign, columns: ColumnNames): TemplateHouse {
  const indexes = new Set((campaign.trusted ?? []).map((name) => columns.get(name)));
  const trusted = [...columns].filter(([, index]) => indexes.has(index)).map(([name]) => name);
  const data = Object.keys(campaign.data ?? {});
  return { campaign, columns, trusted: new Set([...trusted, ...data]), clock: { now: 0 } };
}

/**
 * Parses the template of a part and checks its names against the columns and all its values against their places.
 * Throws ERR_TEMPLATE_SYNTAX, ERR_TEMPLATE_UNKNOWN_VARIABLE and what `walkTemplate` throws, with `file:line:column`; the
 * column counts from the start of the template's own line.
 */
export function parseTemplate(source: TemplateSource, part: Part, house: TemplateHouse): readonly Piece[] {
  const rules = rulesOf(part);
  const engine = openEngine(source, rules, house);
  const templates = parse(engine);
  const { campaign, columns, trusted } = house;
  const isTaken = (name: string): boolean => columns.has(name) || Object.hasOwn(campaign.data ?? {}, name);
  const trust = orSyntaxError(engine, () =>
    makeTrust(templates, { trusted, isTaken, sources: engine.sources }),
  );
  const { name: partName, takesMissing } = rules;
  const printed = walkTemplate(templates, { engine, partName, takesMissing, trust });
  checkVariables(templates, engine, house);
  const reading: Reading = { engine, printed, house, rules };
  // A tag that keeps state changes what later pieces print, so nothing may be rendered by itself.
  if (!templates.every(isStateless)) return [{ kind: 'liquid', templates, engine }];
  return mergeStatics(expandFiles(templates).map((template) => makePiece(template, reading)));
}

/** Makes the data of a recipient. Missing cells are empty texts, so that `default` has something to replace. */
export function makeScope({ campaign, columns }: TemplateHouse, cells: readonly Cell[]): Scope {
  const scope: Scope = Object.create(null);
  for (const [name, index] of columns) {
    const cell = cells[index];
    scope[name] = cell === undefined ? '' : cell;
  }
  const { data } = campaign;
  for (const name in data) scope[name] = data[name] ?? null;
  return scope;
}

interface Reading {
  readonly engine: Engine;
  readonly printed: PrintedValues;
  readonly house: TemplateHouse;
  readonly rules: PartRules;
}

function openEngine(
  source: TemplateSource,
  { place }: PartRules,
  { campaign, clock }: TemplateHouse,
): Engine {
  const partials = place === 'textOfHtml' ? campaign.textPartials : campaign.partials;
  const sources = new Map(Object.entries(partials ?? {}));
  sources.set(main, source);
  if (place === 'html' && campaign.preheader !== undefined) {
    sources.set(preheaderName, campaign.preheader);
    placePreheader(sources);
  }
  if (place === 'calendar') {
    for (const [name, one] of sources) sources.set(name, { ...one, source: withoutMarks(one.source) });
  }
  const filters = { locale: campaign.locale ?? 'en', timezone: campaign.timezone ?? 'UTC', clock };
  return makeEngine({ place, sources, filters });
}

function checkVariables(templates: Template[], engine: Engine, { columns, campaign }: TemplateHouse): void {
  const known = new Set([...columns.keys(), ...Object.keys(campaign.data ?? {})]);
  const { globals } = engine.liquid.analyzeSync(templates, { partials: true });
  const unknown = Object.values(globals)
    .flat()
    .filter(({ segments: [name] }) => typeof name === 'string' && !liquidWords.has(name) && !known.has(name))
    .sort((a, b) => a.location.row - b.location.row || a.location.col - b.location.col)[0];
  if (unknown === undefined) return;
  const name = String(unknown.segments[0]);
  const nearest = findNearestName(name, known);
  const meant = nearest === undefined ? '' : `Did you mean "${nearest}"? `;
  const { row, col: column, file } = unknown.location;
  throw templateError({
    code: 'ERR_TEMPLATE_UNKNOWN_VARIABLE',
    message: `The template uses "${name}", which is no column of the list.`,
    hint: `${meant}The list has: ${[...known].slice(0, shownNames).join(', ')}.`,
    where: locate(engine, { file, row, column }),
  });
}

/** Tags that neither leave state behind nor see any, as long as the same holds for what they contain. */
const statelessTags = new Set(
  'if unless case for tablerow raw comment # echo include render layout block preheader'.split(' '),
);

/** `for … offset: continue` goes on where an earlier loop stopped; liquidjs reports the word as a variable. */
const resumeWord = 'continue';

/** What liquidjs reports as variables although Liquid makes them: in partials it does not see the loop around. */
const liquidWords = new Set([resumeWord, 'forloop', 'tablerowloop', 'block']);

/** Tags whose output does not depend on data. */
const constantTags = new Set(['raw', 'comment', '#']);

function isStateless(template: Template): boolean {
  const { token } = template;
  if (TypeGuards.isTagToken(token) && (!statelessTags.has(token.name) || token.args.includes(resumeWord)))
    return false;
  if (template.children === undefined) return true;
  return toValueSync(template.children(true, true)).every(isStateless);
}

function makePiece(template: Template, reading: Reading): Piece {
  const { token } = template;
  const { engine } = reading;
  if (TypeGuards.isHTMLToken(token)) return { kind: 'static', text: token.getContent() };
  if (TypeGuards.isTagToken(token) && constantTags.has(token.name))
    return { kind: 'static', text: String(engine.liquid.renderSync([template])) };
  if (template instanceof Output) {
    const piece = makeConstantPiece(template, reading) ?? makeColumnPiece(template, reading);
    if (piece !== undefined) return piece;
    const lastFilter = reading.printed.get(template.value)?.written.at(-1)?.name;
    return { kind: 'liquid', templates: [template], engine, lastFilter };
  }
  return { kind: 'liquid', templates: [template], engine };
}

/** An output of nothing but the campaign's own data and literals, dates excepted (they may be of the moment); undefined for every other output. */
function makeConstantPiece(output: Output, { engine, house, rules }: Reading): Piece | undefined {
  if (rules.keepsValues) return undefined;
  const { globals } = engine.liquid.analyzeSync([output], { partials: false });
  const isConstant = Object.keys(globals).every((name) => Object.hasOwn(house.campaign.data ?? {}, name));
  if (!isConstant || /now|today|date/.test(output.token.getText())) return undefined;
  try {
    return { kind: 'static', text: render(engine, [output], makeScope(house, [])) };
  } catch (thrown) {
    if (!(thrown instanceof RenderFailure)) throw thrown;
    throw templateError({
      code: 'ERR_TEMPLATE_DATA',
      message: `The template cannot print the campaign's own data: ${thrown.message}.`,
      hint: 'Correct `data:`, or the template.',
      where: locateTemplate(engine, output),
    });
  }
}

/** `{{ column }}` and `{{ column | default: 'literal' }}`; undefined for every other output. */
function makeColumnPiece(output: Output, { printed: all, house, rules }: Reading): Piece | undefined {
  const { initial } = output.value;
  const printed = all.get(output.value);
  const access = initial.postfix.length === 1 ? initial.postfix[0] : undefined;
  if (!TypeGuards.isPropertyAccessToken(access) || access.variable !== undefined) return undefined;
  const root = access.props.length === 1 ? access.props[0] : undefined;
  if (!TypeGuards.isWordToken(root) && !TypeGuards.isQuotedToken(root)) return undefined;
  const name = root.content;
  const index = Object.hasOwn(house.campaign.data ?? {}, name) ? undefined : house.columns.get(name);
  if (index === undefined || printed === undefined) return undefined;
  const fallback = readFallback(printed);
  if (fallback === undefined) return undefined;
  const { rule, where } = printed;
  const reason = rules.takesMissing ? undefined : missingReason(access.getText(), printed);
  return { kind: 'column', name, index, fallback: fallback.text, rule, where, missingReason: reason };
}

/** The literal default, if there is any; undefined where the value has other filters. */
function readFallback({ written }: Printed): { text: string | undefined } | undefined {
  const [filter] = written;
  if (filter === undefined) return { text: undefined };
  const [literal] = filter.args;
  const isDefault = written.length === 1 && filter.name === 'default' && filter.args.length === 1;
  return isDefault && TypeGuards.isQuotedToken(literal) ? { text: literal.content } : undefined;
}

function mergeStatics(pieces: readonly Piece[]): readonly Piece[] {
  const merged: Piece[] = [];
  for (const piece of pieces) {
    const last = merged.at(-1);
    if (piece.kind === 'static' && last?.kind === 'static')
      merged[merged.length - 1] = { kind: 'static', text: last.text + piece.text };
    else if (piece.kind !== 'static' || piece.text !== '') merged.push(piece);
  }
  return merged;
}

/** The text of a column's piece whose cell is blank. Throws RenderFailure where the template needs a default and has none. */
export function replaceMissing({
  fallback,
  missingReason: reason,
}: Extract<Piece, { kind: 'column' }>): string {
  if (fallback !== undefined) return fallback;
  if (reason === undefined) return '';
  throw new PlacedFailure(reason);
}
