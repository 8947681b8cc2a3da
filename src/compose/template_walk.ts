// One walk over a parsed template and its partials: each printed value is judged by where it stands, before anything is sent.
import {
  BlockTag,
  BreakTag,
  CaptureTag,
  CaseTag,
  ContinueTag,
  CycleTag,
  DecrementTag,
  EchoTag,
  ForTag,
  IfTag,
  IncludeTag,
  IncrementTag,
  LayoutTag,
  LiquidTag,
  Output,
  RawTag,
  RenderTag,
  TablerowTag,
  toValueSync,
  TypeGuards,
  UnlessTag,
  Value,
  type Template,
} from 'liquidjs';
import { htmlStart, isSameState, joinHtml, passValue, scanHtml, type HtmlState } from './html_scan.ts';
import { judgePlace } from './html_place.ts';
import { locateTemplate, orSyntaxError, preheaderName, PreheaderTag, type Engine } from './liquid_engine.ts';
import { cycleError, partialError, refuseLink, refusePlace, waysError } from './template_refusal.ts';
import { checkFilters, checkRaw, type RawTrust } from './template_trust.ts';
import { guardMissing, tightenRule, type Printed } from './value_guard.ts';

export interface WalkOptions {
  readonly engine: Engine;
  /** "the text part". */
  readonly partName: string;
  /** A missing value is printed as nothing. */
  readonly takesMissing: boolean;
  /** Who may print without escaping. */
  readonly trust: RawTrust;
}

/** Every printed value of a template by its output. */
export type PrintedValues = ReadonlyMap<Value, Printed>;

/**
 * Walks a template: builds the guards into its values, and refuses what no guard can make safe. In html the ways through
 * the template are followed like HTML Standard's tokenizer would; ways that part must come together again.
 * Throws ERR_TEMPLATE_PLACE, ERR_TEMPLATE_LINK, ERR_TEMPLATE_RAW, ERR_TEMPLATE_PARTIAL, ERR_TEMPLATE_FILTER.
 */
export function walkTemplate(templates: readonly Template[], options: WalkOptions): PrintedValues {
  const walk: Walk = {
    ...options,
    printed: new Map(),
    files: [],
    known: new Map(),
    blocks: new Map(),
    isStoring: false,
    activeBlocks: new Set(),
    loopStarts: [],
  };
  walkAll(walk, templates, htmlStart);
  return walk.printed;
}

interface Walk extends WalkOptions {
  readonly printed: Map<Value, Printed>;
  /** The partials that we are in. */
  readonly files: readonly string[];
  /** Where a partial leads to, by its name and where it begins. */
  readonly known: Map<string, HtmlState>;
  /** Blocks that children have for their layout. */
  readonly blocks: Map<string, readonly BlockTag[]>;
  /** Blocks are kept for the layout instead of being printed. */
  readonly isStoring: boolean;
  readonly activeBlocks: ReadonlySet<BlockTag>;
  readonly loopStarts: readonly HtmlState[];
}

function walkAll(walk: Walk, templates: readonly Template[], start: HtmlState): HtmlState {
  let state = start;
  for (const template of templates) state = walkOne(walk, template, state);
  return state;
}

function walkOne(walk: Walk, template: Template, state: HtmlState): HtmlState {
  const { token } = template;
  if (TypeGuards.isHTMLToken(token)) return walkText(walk, template, token.getContent(), state);
  if (template instanceof Output) return walkOutput(walk, template, state);
  if (template instanceof EchoTag) {
    const [value] = template.arguments();
    return value instanceof Value ? walkValue(walk, template, value, value.filters, state) : state;
  }
  if (template instanceof CycleTag) return walkCycle(walk, template, state);
  if (template instanceof IncrementTag || template instanceof DecrementTag)
    return passPlace(walk, template, state);
  if (template instanceof RawTag) {
    return walkText(walk, template, String(walk.engine.liquid.renderSync([template])), state);
  }
  if (template instanceof BreakTag || template instanceof ContinueTag) return walkJump(walk, template, state);
  return walkBranching(walk, template, state);
}

function walkBranching(walk: Walk, template: Template, state: HtmlState): HtmlState {
  if (template instanceof IfTag || template instanceof UnlessTag || template instanceof CaseTag) {
    const ways = [...template.branches.map(({ templates }) => templates), template.elseTemplates ?? []];
    return walkWays(walk, template, ways, state);
  }
  if (template instanceof ForTag) {
    const after = walkLoop(walk, template, template.templates, state);
    return join(walk, template, after, walkAll(walk, template.elseTemplates, state));
  }
  if (template instanceof TablerowTag) {
    requireText(walk, template, state);
    requireText(walk, template, walkAll(walk, template.templates, htmlStart));
    return state;
  }
  if (template instanceof CaptureTag) {
    requireText(walk, template, walkAll(walk, template.templates, htmlStart));
    return state;
  }
  if (template instanceof LiquidTag) return walkAll(walk, template.templates, state);
  return walkFiles(walk, template, state);
}

function walkFiles(walk: Walk, template: Template, state: HtmlState): HtmlState {
  if (template instanceof RenderTag || template instanceof IncludeTag)
    return walkPartial(walk, template, state);
  if (template instanceof LayoutTag) return walkLayout(walk, template, state);
  if (template instanceof BlockTag) return walkBlock(walk, template, state);
  if (template instanceof PreheaderTag) {
    return walkAll({ ...walk, partName: 'the preheader', files: [preheaderName] }, template.templates, state);
  }
  return state;
}

function walkText(walk: Walk, template: Template, text: string, state: HtmlState): HtmlState {
  if (walk.engine.place !== 'html') return state;
  return scanHtml(state, text, (flaw) => refuseLink(walk.engine, template, text, flaw));
}

function walkOutput(walk: Walk, output: Output, state: HtmlState): HtmlState {
  const { value } = output;
  const last = value.filters.at(-1);
  // Liquid itself appends the escaping filter, except after a raw one.
  const written =
    walk.printed.get(value)?.written ?? (last?.raw === true ? value.filters : value.filters.slice(0, -1));
  if (isSuper(value) && written.length === 0 && !walk.trust.hidesBlock) {
    // What a block prints has been escaped where it was printed.
    value.filters.length = 0;
    requireText(walk, output, state);
    return state;
  }
  return walkValue(walk, output, value, written, state);
}

function isSuper({ initial }: Value): boolean {
  return initial.postfix.length === 1 && initial.postfix[0]?.getText() === 'block.super';
}

function walkValue(
  walk: Walk,
  template: Template,
  value: Value,
  written: readonly Value['filters'][number][],
  state: HtmlState,
): HtmlState {
  const { engine } = walk;
  const where = locateTemplate(engine, template);
  let printed = walk.printed.get(value);
  if (printed === undefined) {
    checkFilters(written, where);
    printed = { value, written: [...written], partName: walk.partName, where, rule: 'any' };
    walk.printed.set(value, printed);
    if (!walk.takesMissing) guardMissing(printed, engine);
  }
  if (engine.place !== 'html') return state;
  const place = judgePlace(state);
  if (place.kind === 'refuses') return refusePlace(walk.engine, template, place);
  if (printed.written.at(-1)?.raw === true) checkRaw(printed, place.takesMarkup, walk.trust);
  tightenRule(printed, place.rule, engine);
  return passValue(state);
}

function walkCycle(walk: Walk, template: CycleTag, state: HtmlState): HtmlState {
  for (const candidate of template.arguments()) {
    if (!TypeGuards.isFilteredValueToken(candidate)) continue;
    if (candidate.filters.length > 0) {
      throw cycleError(walk.engine, template);
    }
  }
  return passPlace(walk, template, state);
}

/** Something is printed that no guard can be built into. */
function passPlace(walk: Walk, template: Template, state: HtmlState): HtmlState {
  if (walk.engine.place !== 'html') return state;
  const place = judgePlace(state);
  if (place.kind === 'refuses') return refusePlace(walk.engine, template, place);
  if (place.rule !== 'any') {
    return refusePlace(walk.engine, template, {
      where: 'in a link or style',
      hint: 'Print it with {{ … }} there.',
    });
  }
  return passValue(state);
}

function walkWays(
  walk: Walk,
  template: Template,
  ways: readonly (readonly Template[])[],
  start: HtmlState,
): HtmlState {
  const ends = ways.map((way) => walkAll(walk, way, start));
  return ends.reduce((one, other) => join(walk, template, one, other));
}

function walkLoop(walk: Walk, template: Template, body: readonly Template[], start: HtmlState): HtmlState {
  const inside = (from: HtmlState): Walk => ({ ...walk, loopStarts: [...walk.loopStarts, from] });
  const joined = join(walk, template, start, walkAll(inside(start), body, start));
  if (isSameState(joined, start)) return start;
  // The second time round begins where the first one ended.
  return join(walk, template, joined, walkAll(inside(joined), body, joined));
}

function walkJump(walk: Walk, template: Template, state: HtmlState): HtmlState {
  const start = walk.loopStarts.at(-1);
  if (start !== undefined) join(walk, template, start, state);
  return state;
}

function walkPartial(walk: Walk, template: RenderTag | IncludeTag, state: HtmlState): HtmlState {
  const name = template.partialScope()?.name;
  const key = JSON.stringify([name, state]);
  const known = walk.known.get(key);
  if (known !== undefined) return known;
  const inner = enterFile(walk, template, name);
  const templates = orSyntaxError(walk.engine, () => toValueSync(template.children(true, true)));
  const end = walkAll({ ...inner, blocks: new Map(), isStoring: false }, templates, state);
  walk.known.set(key, end);
  return end;
}

/** The child's blocks are stored first, the layout prints them; a child's text outside of blocks is the block without a name. */
function walkLayout(walk: Walk, template: LayoutTag, state: HtmlState): HtmlState {
  if (template.file === undefined) return walkAll({ ...walk, isStoring: false }, template.templates, state);
  const blocks = new Map(walk.blocks);
  walkAll({ ...walk, blocks, isStoring: true }, template.templates, htmlStart);
  const inner = enterFile(walk, template, template.partialScope()?.name);
  const all = orSyntaxError(walk.engine, () => toValueSync(template.children(true)));
  return walkAll({ ...inner, blocks, isStoring: false }, all.slice(template.templates.length), state);
}

function walkBlock(walk: Walk, template: BlockTag, state: HtmlState): HtmlState {
  const stored = walk.blocks.get(template.block) ?? [];
  if (walk.isStoring) {
    walk.blocks.set(template.block, [...stored, template]);
    return state;
  }
  if (template.block === '') requireText(walk, template, state);
  const bodies = [...stored, template].filter((one) => !walk.activeBlocks.has(one));
  const inner = { ...walk, activeBlocks: new Set([...walk.activeBlocks, ...bodies]) };
  return bodies.length === 0
    ? state
    : walkWays(
        inner,
        template,
        bodies.map(({ templates }) => templates),
        state,
      );
}

function enterFile(walk: Walk, template: Template, name: string | undefined): Walk {
  const { engine, files } = walk;
  const where = locateTemplate(engine, template);
  if (name === undefined) {
    throw partialError(
      'The name of a partial is made of values; files are read before the first row is.',
      where,
    );
  }
  if (/^\.{0,2}\//.test(name) || !engine.sources.has(name) || name.includes('\0')) {
    throw partialError(`The partial "${name}" is no file that was read with the campaign.`, where);
  }
  if (files.includes(name))
    throw partialError(`Partials name one another in a circle: ${[...files, name].join(', ')}.`, where);
  return { ...walk, files: [...files, name] };
}

function requireText(walk: Walk, template: Template, state: HtmlState): void {
  if (walk.engine.place !== 'html' || (state.kind === 'text' && state.element === undefined)) return;
  refusePlace(walk.engine, template, {
    where: 'inside of a tag',
    hint: 'It is for whole elements: close what is open.',
  });
}

function join(walk: Walk, template: Template, one: HtmlState, other: HtmlState): HtmlState {
  if (walk.engine.place !== 'html') return one;
  const joined = joinHtml(one, other);
  if (joined !== undefined) return joined;
  throw waysError(walk.engine, template);
}
