// A plain text template of an HTML template: for campaigns that have no text of their own.
//
// It reads tokens and no tree: Liquid may stand between <ul> and <li> or open an element in one branch and close it in
// another, and a tree would move or lose it there. Liquid stays what it is and where it is.
import { unreachable } from '../base/invariant.ts';
import { lineElements, paragraphElements, type PartialBreaks } from './block_elements.ts';
import { decodeEntities } from './entities.ts';
import { endOfLiquid, listAttributes, tokenizeHtml, type HtmlToken } from './html_tokens.ts';
import { TextWriter } from './text_writer.ts';

interface Conversion {
  readonly source: string;
  readonly partialBreaks: PartialBreaks;
  readonly writer: TextWriter;
  readonly lists: List[];
  readonly links: Link[];
  /** What is being left out. */
  hidden: Hidden | undefined;
  preformatted: number;
}

interface List {
  readonly isOrdered: boolean;
  /** Of the last item; undefined once Liquid decides how many there are. */
  number: number | undefined;
}

interface Link {
  readonly href: string;
  readonly place: number;
  readonly way: string;
}

interface Hidden {
  readonly name: string;
  readonly depth: number;
  readonly way: string;
  nested: number;
}

const hiddenElements = new Set('head noscript object select svg template video audio'.split(' '));
const voidElements = new Set('area base br col embed hr img input link meta source track wbr'.split(' '));

/** Tags of Liquid that print something themselves. */
const printingTags = new Set([
  'echo',
  'cycle',
  'increment',
  'decrement',
  'render',
  'include',
  'layout',
  'liquid',
]);

/** Makes a plain text template of an HTML template; `partialBreaks` are those of the text that partials become. */
export function makeTextTemplate(html: string, partialBreaks: PartialBreaks = new Map()): string {
  const source = trimAsLiquid(html);
  const conversion: Conversion = {
    source,
    partialBreaks,
    writer: new TextWriter(),
    lists: [],
    links: [],
    hidden: undefined,
    preformatted: 0,
  };
  for (const token of tokenizeHtml(source)) convert(conversion, token);
  return conversion.writer.finish();
}

function convert(conversion: Conversion, token: HtmlToken): void {
  const written = conversion.source.slice(token.from, token.to);
  switch (token.kind) {
    case 'text':
      if (conversion.hidden === undefined) writeText(conversion, written);
      break;
    case 'liquid':
      writeLiquid(conversion, written, conversion.hidden === undefined);
      break;
    case 'hidden':
      writeHiddenLiquid(conversion, written);
      break;
    case 'open':
      openElement(conversion, token.name, written);
      break;
    case 'close':
      closeElement(conversion, token.name);
      break;
    default:
      unreachable(token);
  }
}

function writeText(conversion: Conversion, written: string): void {
  const { writer, preformatted } = conversion;
  if (preformatted > 0) {
    writer.write(guardBraces(decodeEntities(written.replace(/\r\n?/g, '\n'))));
    return;
  }
  const collapsed = written.replace(/[ \t\r\n\f]+/g, ' ');
  if (collapsed.startsWith(' ')) writer.blank();
  const words = collapsed.trim();
  if (words === '') return;
  writer.write(guardBraces(decodeEntities(words).replaceAll('\u00a0', ' ').replaceAll('\u00ad', '')));
  if (collapsed.endsWith(' ')) writer.blank();
}

/** Braces that HTML text spells, in whatever way, must not begin Liquid: an entity or a tag may have kept them apart. */
function guardBraces(text: string): string {
  return text.replace(/\{(?=[{%]|$)/g, "{{ '{' }}");
}

function writeLiquid(conversion: Conversion, written: string, isShown: boolean): void {
  const { writer } = conversion;
  const name = /^\{%-?\s*(\w+|#)/.exec(written)?.[1];
  if (name === 'comment' || name === '#') return;
  const liquid = name === 'raw' ? written : withoutTrims(written);
  if (name === undefined || name === 'raw' || printingTags.has(name)) {
    if (isShown) writePrinting(conversion, name, liquid);
  } else if (/^(?:if|unless|case|for|tablerow|capture|block)$/.test(name)) {
    const list = conversion.lists.at(-1);
    // How many items there are is the recipient's.
    if (list !== undefined && isShown) list.number = undefined;
    writer.open(liquid, name === 'for' || name === 'tablerow', name === 'capture');
  } else if (/^(?:else|elsif|when)$/.test(name)) {
    writer.turn(liquid);
    endHidden(conversion);
  } else if (name.startsWith('end')) {
    writer.close(liquid);
    endHidden(conversion);
  } else writer.writeSilent(liquid);
}

/** What a partial prints stands between line breaks where it consists of more than words. */
function writePrinting(
  { writer, partialBreaks }: Conversion,
  name: string | undefined,
  liquid: string,
): void {
  const isFile = name === 'render' || name === 'include' || name === 'liquid';
  const names = isFile
    ? [...liquid.matchAll(/"([^"]*)"|'([^']*)'/g)].map((match) => match[1] ?? match[2] ?? '')
    : [];
  const breaks = Math.max(0, ...names.map((one) => partialBreaks.get(one) ?? 0));
  if (breaks === 0) {
    writer.write(liquid);
    return;
  }
  writer.breakLines(breaks);
  writer.write(liquid, breaks);
}

/** Takes away the white space that `{%-` and `-%}` take away: between the lines of text there will be other. */
function trimAsLiquid(html: string): string {
  let source = '';
  let trims = false;
  for (const { liquid, isLiquid } of splitLiquid(html)) {
    if (isLiquid && /^\{[{%]-/.test(liquid)) source = source.trimEnd();
    source += trims ? liquid.trimStart() : liquid;
    trims = isLiquid && /-[%}]\}$/.test(liquid);
  }
  return source;
}

/** White space has been dealt with; and what is trusted as HTML is not text yet. */
function withoutTrims(liquid: string): string {
  return liquid
    .replace(/^(\{[{%])-/, '$1')
    .replace(/-([%}]\})$/, '$1')
    .replace(/\|\s*raw\s*\}\}$/, '| strip_html }}');
}

/** An element that a branch left open is not left out beyond the branch. */
function endHidden(conversion: Conversion): void {
  const { hidden, writer } = conversion;
  if (hidden !== undefined && (writer.depth < hidden.depth || !writer.way.startsWith(hidden.way)))
    conversion.hidden = undefined;
}

/** Where nothing is shown, tags still count: they assign, and they come in pairs. */
function writeHiddenLiquid(conversion: Conversion, written: string): void {
  for (const { liquid, isLiquid } of splitLiquid(written)) {
    if (isLiquid && liquid.startsWith('{%')) writeLiquid(conversion, liquid, false);
  }
}

function openElement(conversion: Conversion, name: string, written: string): void {
  const { writer, hidden } = conversion;
  const attributes = new Map(listAttributes(written).map((one) => [one.name, one.value ?? '']));
  if (hidden !== undefined || isHidden(name, attributes)) {
    writeHiddenLiquid(conversion, written);
    hide(conversion, name);
    return;
  }
  const shown = name === 'a' ? attributes.get('href') : name === 'img' ? attributes.get('alt') : undefined;
  writeHiddenLiquid(conversion, shown === undefined ? written : written.replace(shown, ''));
  if (name === 'br') writer.addBreak();
  else if (name === 'img') writeMixed(conversion, shown ?? '');
  else if (name === 'a')
    conversion.links.push({ href: shown ?? '', place: writer.reserve(), way: writer.way });
  else if (name === 'td' || name === 'th') {
    if (!writer.isAtLineStart) writer.blank(2);
  } else breakAround(conversion, name);
  if (name === 'hr') writer.write('-'.repeat(20));
  if (name === 'hr') writer.breakLines(2);
  if (name === 'ul' || name === 'ol') conversion.lists.push({ isOrdered: name === 'ol', number: 0 });
  if (name === 'li') writer.item(markOf(conversion.lists));
  if (name === 'pre') conversion.preformatted += 1;
}

function closeElement(conversion: Conversion, name: string): void {
  const { hidden } = conversion;
  if (hidden !== undefined) {
    if (name === hidden.name) hidden.nested -= 1;
    if (hidden.nested === 0) conversion.hidden = undefined;
    return;
  }
  if (name === 'a') closeLinks(conversion);
  if (name === 'pre' && conversion.preformatted > 0) conversion.preformatted -= 1;
  if (name === 'ul' || name === 'ol') conversion.lists.pop();
  if (name === 'br') conversion.writer.addBreak();
  else breakAround(conversion, name);
}

/** To be called while the lists are those around the element. */
function breakAround({ writer, lists }: Conversion, name: string): void {
  const isNested = (name === 'ul' || name === 'ol') && lists.length > 0;
  if (paragraphElements.has(name)) writer.breakLines(isNested ? 1 : 2);
  else if (lineElements.has(name)) writer.breakLines(1);
}

function isHidden(name: string, attributes: ReadonlyMap<string, string>): boolean {
  if (voidElements.has(name)) return false;
  const style = attributes.get('style') ?? '';
  return (
    hiddenElements.has(name) ||
    attributes.has('hidden') ||
    (/display\s*:\s*none/i.test(style) && !style.includes('{%'))
  );
}

function hide(conversion: Conversion, name: string): void {
  const { hidden, writer } = conversion;
  if (hidden === undefined) conversion.hidden = { name, depth: writer.depth, way: writer.way, nested: 1 };
  else if (hidden.name === name && !voidElements.has(name)) hidden.nested += 1;
}

/** "- ", "3. ", indented by the lists around. */
function markOf(lists: readonly List[]): string {
  const list = lists.at(-1);
  const indent = '  '.repeat(Math.max(0, lists.length - 1));
  if (list === undefined || !list.isOrdered || list.number === undefined) return `${indent}- `;
  list.number += 1;
  return `${indent}${list.number}. `;
}

/** The address behind the words; in front of them where it depends on the recipient which link was opened. */
function closeLinks(conversion: Conversion): void {
  const { writer } = conversion;
  const links = conversion.links.splice(0);
  const [only] = links;
  if (only === undefined) return;
  if (links.length > 1 || only.way !== writer.way) {
    for (const { href, place } of links) {
      const address = addressOf(href);
      if (address !== '') writer.fill(place, `(${address}) `);
    }
    return;
  }
  const address = addressOf(only.href);
  const words = writer.since(only.place).trim();
  if (address === '' || isSaid(words, address)) return;
  writer.trim();
  writer.write(words === '' ? address : ` (${address})`);
}

/** The target as text; empty for what leads nowhere outside of the page. */
function addressOf(href: string): string {
  const address = splitLiquid(href.trim())
    .map(({ liquid, isLiquid }) => (isLiquid ? withoutTrims(liquid) : guardBraces(decodeEntities(liquid))))
    .join('');
  return address.startsWith('#') || /^javascript:/i.test(address) ? '' : address;
}

function isSaid(words: string, address: string): boolean {
  const bare = address.replace(/^(?:mailto:|tel:|https?:\/\/)/i, '').replace(/\/$/, '');
  return words === address || words.replace(/\/$/, '') === bare;
}

function writeMixed(conversion: Conversion, value: string): void {
  for (const { liquid, isLiquid } of splitLiquid(value)) {
    if (isLiquid) writeLiquid(conversion, liquid, true);
    else writeText(conversion, liquid);
  }
}

function splitLiquid(source: string): { liquid: string; isLiquid: boolean }[] {
  const parts: { liquid: string; isLiquid: boolean }[] = [];
  let from = 0;
  for (let at = 0; at < source.length; at++) {
    const to = endOfLiquid(source, at);
    if (to === at) continue;
    if (at > from) parts.push({ liquid: source.slice(from, at), isLiquid: false });
    parts.push({ liquid: source.slice(at, to), isLiquid: true });
    from = to;
    at = to - 1;
  }
  if (from < source.length) parts.push({ liquid: source.slice(from), isLiquid: false });
  return parts;
}
