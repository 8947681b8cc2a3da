// The door to liquidjs: makes pieces of a template's source, and renders those that need Liquid.
import { Liquid, LiquidError, Output, TypeGuards, type Template } from 'liquidjs';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import type { TemplateSource } from '../mail/campaign.ts';
import type { Cell } from '../mail/recipient.ts';
import { markValue } from './calendar.ts';
import { RenderFailure } from './cell.ts';
import { findNearestName, type ColumnNames } from './columns.ts';

/**
 * Part of a template.
 * - static: text that every recipient gets.
 * - column: a cell, or `fallback` where the cell is blank. Invariant: prints what liquidjs would print;
 *   bench/compose.ts shows what the short cut earns.
 * - liquid: anything else, rendered per recipient.
 */
export type Piece =
  | { readonly kind: 'static'; readonly text: string }
  | {
      readonly kind: 'column';
      readonly name: string;
      readonly index: number;
      readonly fallback: string | undefined;
    }
  | {
      readonly kind: 'liquid';
      readonly templates: Template[];
      readonly source: TemplateSource;
      readonly place: Place;
      /** Whether rendering may write to the scope, which then must not be used again. */
      readonly isStateful: boolean;
    };

/**
 * Where the output goes; in html Liquid escapes what `{{ }}` prints, in calendar it marks it (calendar.ts), and
 * column pieces are left to the caller.
 */
export type Place = 'plain' | 'html' | 'calendar';

/** The data of one recipient: own properties only, no prototype. */
export type Scope = Record<string, Cell>;

/** Long before these, something is wrong with a template; without them a loop could stop the whole thread. */
const limits = { parseLimit: 10_000_000, memoryLimit: 50_000_000, renderLimit: 5000 };

/** In messages to people. */
const shownNames = 30;

const engines = { plain: makeEngine('plain'), html: makeEngine('html'), calendar: makeEngine('calendar') };

/**
 * Parses a template and checks its names against the columns.
 * Throws ERR_TEMPLATE_SYNTAX or ERR_TEMPLATE_UNKNOWN_VARIABLE, with `file:line:column`; the column counts
 * from the start of the template's own line.
 */
export function parseTemplate(source: TemplateSource, names: ColumnNames, place: Place): readonly Piece[] {
  const templates = parseLiquid(source, place);
  checkVariables(templates, source, names, place);
  // A tag that keeps state changes what later pieces print, so nothing may be rendered by itself.
  if (!templates.every(isStateless)) return [{ kind: 'liquid', templates, source, place, isStateful: true }];
  return mergeStatics(templates.map((template) => makePiece(template, source, names, place)));
}

/** Renders a piece for the recipient of `scope`. Throws RenderFailure. */
export function renderLiquid(piece: Extract<Piece, { kind: 'liquid' }>, scope: Scope): string {
  try {
    return String(engines[piece.place].renderSync(piece.templates, scope));
  } catch (thrown) {
    const { reason, where } = explain(thrown, piece.source);
    throw new RenderFailure(`${reason} (${where})`);
  }
}

/** Makes the data of a recipient. Missing cells are empty texts, so that `default` has something to replace. */
export function makeScope(names: ColumnNames, cells: readonly Cell[]): Scope {
  const scope: Scope = Object.create(null);
  for (const [name, index] of names) {
    const cell = cells[index];
    scope[name] = cell === undefined ? '' : cell;
  }
  return scope;
}

function makeEngine(place: Place): Liquid {
  const engine = new Liquid({
    ...limits,
    strictFilters: true,
    // Names are checked once, against the columns; a property that one recipient lacks prints as nothing.
    strictVariables: false,
    ownPropertyOnly: true,
    // Partials are looked up here and never on disk.
    templates: {},
    ...(place === 'plain' ? {} : { outputEscape: place === 'html' ? 'escape' : markValue }),
  });
  // Where a value ends is all that stands between a list and the lines of an invitation: there is no way round it.
  if (place === 'calendar') engine.registerFilter('raw', (value: unknown) => value);
  for (const name of ['include', 'render', 'layout', 'block']) {
    engine.registerTag(name, {
      parse() {
        throw new Error(`tag "${name}" reads other files, and a campaign's templates cannot`);
      },
      render() {
        return '';
      },
    });
  }
  return engine;
}

function parseLiquid(source: TemplateSource, place: Place): Template[] {
  try {
    return engines[place].parse(source.source);
  } catch (thrown) {
    const { reason, where } = explain(thrown, source);
    throw new PosthasteError({
      code: 'ERR_TEMPLATE_SYNTAX',
      message: `The template is not valid Liquid: ${reason}.`,
      hint: 'Correct the template at this place; "posthaste check" reads it without sending anything.',
      where,
      exitCode: ExitCode.dataError,
      cause: thrown,
    });
  }
}

function checkVariables(
  templates: Template[],
  source: TemplateSource,
  names: ColumnNames,
  place: Place,
): void {
  const { globals } = engines[place].analyzeSync(templates, { partials: false });
  const unknown = Object.values(globals)
    .flat()
    .filter(({ segments: [name] }) => typeof name === 'string' && name !== resumeWord && !names.has(name))
    .sort((a, b) => a.location.row - b.location.row || a.location.col - b.location.col)[0];
  if (unknown === undefined) return;
  const name = String(unknown.segments[0]);
  const nearest = findNearestName(name, names.keys());
  const meant = nearest === undefined ? '' : `Did you mean "${nearest}"? `;
  throw new PosthasteError({
    code: 'ERR_TEMPLATE_UNKNOWN_VARIABLE',
    message: `The template uses "${name}", which is no column of the list.`,
    hint: `${meant}The list has: ${[...names.keys()].slice(0, shownNames).join(', ')}.`,
    where: locate(source, unknown.location.row, unknown.location.col),
    exitCode: ExitCode.dataError,
  });
}

/** Tags that neither leave state behind nor see any, as long as the same holds for what they contain. */
const statelessTags = new Set(['if', 'unless', 'case', 'for', 'tablerow', 'raw', 'comment', '#', 'echo']);

/** `for … offset: continue` goes on where an earlier loop stopped; liquidjs reports the word as a variable. */
const resumeWord = 'continue';

/** Tags whose output does not depend on data. */
const constantTags = new Set(['raw', 'comment', '#']);

function isStateless(template: Template): boolean {
  const { token } = template;
  if (TypeGuards.isTagToken(token) && (!statelessTags.has(token.name) || token.args.includes(resumeWord)))
    return false;
  if (template.children === undefined) return true;
  const children = template.children(false, true).next();
  return children.done === true && children.value.every(isStateless);
}

function makePiece(template: Template, source: TemplateSource, names: ColumnNames, place: Place): Piece {
  const { token } = template;
  if (TypeGuards.isHTMLToken(token)) return { kind: 'static', text: token.getContent() };
  if (TypeGuards.isTagToken(token) && constantTags.has(token.name))
    return { kind: 'static', text: String(engines.plain.renderSync([template])) };
  const column = template instanceof Output ? makeColumnPiece(template, names, place) : undefined;
  return column ?? { kind: 'liquid', templates: [template], source, place, isStateful: false };
}

/** `{{ column }}` and `{{ column | default: 'literal' }}`; undefined for every other output. */
function makeColumnPiece(output: Output, names: ColumnNames, place: Place): Piece | undefined {
  const { initial, filters } = output.value;
  const access = initial.postfix.length === 1 ? initial.postfix[0] : undefined;
  if (!TypeGuards.isPropertyAccessToken(access) || access.variable !== undefined) return undefined;
  const root = access.props.length === 1 ? access.props[0] : undefined;
  if (!TypeGuards.isWordToken(root) && !TypeGuards.isQuotedToken(root)) return undefined;
  const index = names.get(root.content);
  // Liquid appends the escape filter itself, except after `raw`.
  const written = place === 'plain' ? filters : filters.slice(0, -1);
  if (index === undefined || written.length > 1 || filters.some(({ raw }) => raw)) return undefined;
  const [filter] = written;
  if (filter === undefined) return { kind: 'column', name: root.content, index, fallback: undefined };
  const [literal] = filter.args;
  if (filter.name !== 'default' || filter.args.length !== 1 || !TypeGuards.isQuotedToken(literal))
    return undefined;
  return { kind: 'column', name: root.content, index, fallback: literal.content };
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

/** What liquidjs complains about, without the position that it counts from the start of the template. */
function explain(thrown: unknown, source: TemplateSource): { reason: string; where: string } {
  if (!LiquidError.is(thrown)) return { reason: messageOf(thrown), where: `${source.file}:${source.line}` };
  const [row = 1, column = 1] = thrown.token.getPosition();
  const reason = (thrown.originalError?.message ?? thrown.message).replace(
    /, (?:file:.*, )?line:\d+, col:\d+$/,
    '',
  );
  return { reason, where: locate(source, row, column) };
}

function locate(source: TemplateSource, row: number, column: number): string {
  return `${source.file}:${source.line + row - 1}:${column}`;
}
