// Layouts and partials that can be laid in when a campaign is compiled, so that their text is encoded once.
import { BlockTag, IncludeTag, LayoutTag, RenderTag, toValueSync, TypeGuards, type Template } from 'liquidjs';
import { PreheaderTag } from './liquid_engine.ts';

/**
 * Replaces partials without arguments, layouts and their blocks by what they consist of. Invariant: where no tag keeps
 * state (the caller has seen to it), that prints the same. What cannot be laid in stays a tag.
 */
export function expandFiles(templates: readonly Template[]): readonly Template[] {
  return templates.flatMap((template) => expandFile(template) ?? [template]);
}

function expandFile(template: Template): readonly Template[] | undefined {
  if (template instanceof PreheaderTag) return expandFiles(template.templates);
  if (template instanceof LayoutTag) return expandLayout(template);
  if (!(template instanceof RenderTag || template instanceof IncludeTag)) return undefined;
  const partial = template.partialScope();
  // A loop over a partial has arguments, too.
  if (partial === undefined || [...partial.scope].length > 0 || holdsBlocks(template)) return undefined;
  return expandFiles(toValueSync(template.children(true, true)));
}

/** One layout, whose blocks stand at its top level as the child's do. */
function expandLayout(layout: LayoutTag): readonly Template[] | undefined {
  const partial = layout.partialScope();
  if (partial === undefined || [...partial.scope].length > 0) return undefined;
  const all = toValueSync(layout.children(true));
  const inLayout = all.slice(layout.templates.length);
  const blocks = new Map<string, BlockTag>();
  for (const one of layout.templates) {
    if (one instanceof BlockTag && one.block !== '' && !blocks.has(one.block)) blocks.set(one.block, one);
    else if (mayHoldBlocks(one)) return undefined;
  }
  const bodies: (readonly Template[])[] = [];
  for (const one of inLayout) {
    const body = one instanceof BlockTag ? (blocks.get(one.block) ?? one).templates : [one];
    if (body.some(mayHoldBlocks)) return undefined;
    if (one instanceof BlockTag && one.block === '') return undefined;
    bodies.push(body);
  }
  return expandFiles(bodies.flat());
}

/** Blocks that stand deeper, or print what they replace, need Liquid's own bookkeeping. */
function mayHoldBlocks(template: Template): boolean {
  if (template instanceof BlockTag || template instanceof LayoutTag) return true;
  if (!TypeGuards.isHTMLToken(template.token) && template.token.getText().includes('block')) return true;
  if (template.children === undefined) return false;
  return toValueSync(template.children(true, true)).some(mayHoldBlocks);
}

function holdsBlocks(template: RenderTag | IncludeTag): boolean {
  return toValueSync(template.children(true, true)).some(mayHoldBlocks);
}
