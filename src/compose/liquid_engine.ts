// One part's liquidjs engine: what it may do, how far it may go, and where its errors are.
import {
  Context,
  Liquid,
  LiquidError,
  TypeGuards,
  filters as builtIn,
  type FilterImplOptions,
  type Token,
  Tag,
  type Emitter,
  type TagToken,
  type Template,
  type TopLevelToken,
} from 'liquidjs';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import type { TemplateSource } from '../mail/campaign.ts';
import type { Cell } from '../mail/recipient.ts';
import { markValue } from './calendar.ts';
import { isBlank, PlacedFailure, printValue, RenderFailure } from './cell.ts';
import { registerFilters, type FilterSettings } from './filters.ts';
import type { Place } from './part.ts';

/** The data of one recipient: own properties only, no prototype. */
export type Scope = Record<string, Cell>;

export interface Engine {
  readonly liquid: Liquid;
  readonly place: Place;
  /** The template itself, by the name `main`, its partials, and the preheader by `preheaderName`. */
  readonly sources: ReadonlyMap<string, TemplateSource>;
  readonly limit: RenderLimit;
}

/** No partial can have these names: a path that is written in a template has no NUL. */
export const main = '\0main';
export const preheaderName = '\0preheader';

/**
 * Long before these, something is wrong with a template; without them a loop could stop the whole thread. What is
 * counted is the same on every machine and on every attempt; the time is for what counting misses.
 */
const mostSteps = 100_000;
const mostRenderMs = 1000;
const limits = { parseLimit: 10_000_000, memoryLimit: 10_000_000, renderLimit: mostRenderMs };

const tooLong = `the text is longer than ${limits.memoryLimit} characters`;

export interface EngineOptions {
  readonly place: Place;
  readonly sources: ReadonlyMap<string, TemplateSource>;
  readonly filters: FilterSettings;
}

export function makeEngine({ place, sources, filters }: EngineOptions): Engine {
  const liquid = new Liquid({
    ...limits,
    strictFilters: true,
    // Names are checked once, against the columns; what is missing is found where it is printed.
    strictVariables: false,
    ownPropertyOnly: true,
    // Partials are looked up here and never on disk.
    templates: Object.fromEntries([...sources].map(([name, { source }]) => [name, source])),
    cache: makeCache(),
    locale: filters.locale,
    timezoneOffset: filters.timezone,
    outputEscape: outputs[place],
  });
  registerFilters(liquid, filters, place);
  liquid.registerTag('preheader', PreheaderTag);
  return { liquid, place, sources, limit: new RenderLimit() };
}

/** Every file is parsed once; liquidjs would parse a layout a second time under another key. */
function makeCache() {
  const parsed = new Map<string, Template[] | Promise<Template[]>>();
  return {
    read: (key: string) => parsed.get(nameOf(key)),
    write: (key: string, templates: Template[] | Promise<Template[]>) =>
      void parsed.set(nameOf(key), templates),
    remove: (key: string) => void parsed.delete(nameOf(key)),
  };
}

/** What liquidjs gives to a filter as `this`; the token is that of the filter, or of the tag that prints. */
type Printing = ThisParameterType<Extract<FilterImplOptions, (...args: never[]) => unknown>>;

/** Keys are "partials:name" and "layouts:name". */
function nameOf(key: string): string {
  return key.slice(key.indexOf(':') + 1);
}

/** Values of an invitation keep marks until it is known what stands around them. */
function markOutput(this: Printing, value: unknown): string {
  return markValue(countOutput.call(this, value));
}

/** In plain text nothing is escaped, and what is printed counts as it does in HTML. */
function countOutput(this: Printing, value: unknown): string {
  requireCycled(this.token, value);
  const text = printValue(value);
  this.context.memoryLimit.use(text.length);
  return text;
}

function escapeOutput(this: Printing, value: unknown): string {
  requireCycled(this.token, value);
  const escaped: unknown = typeof escape === 'function' ? escape.call(this, value) : '';
  return String(escaped);
}

const escape = builtIn['escape'];

const outputs = {
  plain: countOutput,
  html: escapeOutput,
  textOfHtml: countOutput,
  calendar: markOutput,
} as const satisfies Record<Place, unknown>;

/** No guard can be built into {% cycle %}, which makes its values anew each time. */
function requireCycled(token: Token, value: unknown): void {
  if (TypeGuards.isTagToken(token) && isBlank(value))
    throw new RenderFailure('{% cycle %} comes to a blank value');
}

/** Stands where the preheader goes, in a place that compiling finds. */
export class PreheaderTag extends Tag {
  readonly templates: Template[];

  constructor(token: TagToken, rest: TopLevelToken[], liquid: Liquid) {
    super(token, rest, liquid);
    this.templates = liquid.parseFileSync(preheaderName);
  }

  *render(context: Context, emitter: Emitter): Generator<unknown, void, unknown> {
    yield this.liquid.renderer.renderTemplates(this.templates, context, emitter);
  }

  // oxlint-disable-next-line require-yield -- liquidjs wants a generator, for files that are read asynchronously
  *children(): Generator<unknown, Template[]> {
    return this.templates;
  }
}

/** Counts what one rendering does. It belongs to one engine, which renders one thing at a time. */
class RenderLimit {
  #steps = 0;
  #endsAt = 0;

  start(): void {
    this.#steps = 0;
    this.#endsAt = performance.now() + mostRenderMs;
  }

  /** Called by liquidjs before each tag, output and stretch of text. */
  readonly check = (now: number): void => {
    this.#steps += 1;
    if (this.#steps > mostSteps) throw new RenderFailure(`the template takes more than ${mostSteps} steps`);
    if (now > this.#endsAt) throw new RenderFailure(`the template takes longer than ${mostRenderMs} ms`);
  };
}

/** Renders for the recipient of `scope`, which stays as it is. Throws RenderFailure with the place. */
export function render(engine: Engine, templates: Template[], scope: Scope): string {
  const { liquid, limit } = engine;
  try {
    // Columns are globals: also partials that see nothing else know them, and counters are kept elsewhere.
    const context = new Context(
      Object.create(null),
      liquid.options,
      { sync: true, globals: scope },
      { liquid },
    );
    limit.start();
    context.renderLimit.check = limit.check;
    const text = String(liquid.renderSync(templates, context));
    if (text.length > limits.memoryLimit) throw new RenderFailure(tooLong);
    return text;
  } catch (thrown) {
    const cause = LiquidError.is(thrown) ? thrown.originalError : thrown;
    if (cause instanceof PlacedFailure) throw cause;
    const { reason, where } = explain(engine, thrown);
    // V8 holds half a billion characters as a chain of pieces, and refuses more.
    const isTooLong = cause instanceof RangeError && cause.message === 'Invalid string length';
    throw new RenderFailure(`${isTooLong ? tooLong : reason} (${where})`);
  }
}

/** Parses the template itself. Throws ERR_TEMPLATE_SYNTAX. */
export function parse(engine: Engine): Template[] {
  return orSyntaxError(engine, () => engine.liquid.parseFileSync(main));
}

/** Runs what may parse a file. Throws ERR_TEMPLATE_SYNTAX with the place in that file. */
export function orSyntaxError<T>(engine: Engine, run: () => T): T {
  try {
    return run();
  } catch (thrown) {
    if (thrown instanceof PosthasteError) throw thrown;
    const { reason, where } = explain(engine, thrown);
    throw templateError({
      code: 'ERR_TEMPLATE_SYNTAX',
      message: `The template is not valid Liquid: ${reason}.`,
      hint: 'Correct the template at this place; nothing was sent.',
      where,
      cause: thrown,
    });
  }
}

/** An error of a campaign's template. */
export function templateError(detail: {
  code: string;
  message: string;
  hint: string;
  where: string;
  cause?: unknown;
}): PosthasteError {
  return new PosthasteError({ ...detail, exitCode: ExitCode.dataError });
}

/** `file:line:column` of something that liquidjs knows the position of. */
export function locate(
  engine: Engine,
  at: { file?: string | undefined; row: number; column: number },
): string {
  const source = engine.sources.get(at.file ?? main) ?? engine.sources.get(main);
  return `${source?.file}:${(source?.line ?? 1) + at.row - 1}:${at.column}`;
}

/** The place of a tag, an output or a stretch of text. */
export function locateTemplate(engine: Engine, { token }: Template): string {
  const [row = 1, column = 1] = token.getPosition();
  return locate(engine, { file: token.file, row, column });
}

/** What liquidjs complains about, without the position that it counts from the start of the template. */
function explain(engine: Engine, thrown: unknown): { reason: string; where: string } {
  if (!LiquidError.is(thrown))
    return { reason: messageOf(thrown), where: locate(engine, { row: 1, column: 1 }) };
  const [row = 1, column = 1] = thrown.token.getPosition();
  const reason = (thrown.originalError?.message ?? thrown.message).replace(
    /, (?:file:.*, )?line:\d+, col:\d+$/,
    '',
  );
  return { reason, where: locate(engine, { file: thrown.token.file, row, column }) };
}
