// HTML with Liquid in it, cut into tokens: what converters need of it, and nothing of its tree.

/**
 * - text: between tags. - liquid: an output or a tag between tags, or a whole raw or comment block.
 * - open, close: a tag of HTML; `attributes` as written, Liquid in them included.
 * - hidden: a comment, a doctype, or the inside of an element whose content is no text.
 * `from` and `to` are indexes of the source; the tokens cover it without gaps.
 */
export type HtmlToken =
  | { readonly kind: 'text' | 'liquid' | 'hidden'; readonly from: number; readonly to: number }
  | { readonly kind: 'open'; readonly from: number; readonly to: number; readonly name: string }
  | { readonly kind: 'close'; readonly from: number; readonly to: number; readonly name: string };

/** An attribute of a start tag. */
export interface HtmlAttribute {
  readonly name: string;
  /** As written, without quotes; undefined where there is no "=". */
  readonly value: string | undefined;
  /** Of the whole attribute, relative to the tag. */
  readonly from: number;
  readonly to: number;
}

/** HTML §13.1.2: raw text elements, and escapable ones whose text is not shown among the rest. */
const rawElements = new Set(['style', 'script', 'title', 'textarea', 'noembed', 'noframes', 'xmp', 'iframe']);

/** Cuts HTML into tokens. Anything will do: what is not finished is text. */
export function tokenizeHtml(source: string): HtmlToken[] {
  const tokens: HtmlToken[] = [];
  let at = 0;
  while (at < source.length) {
    const token = tokenAt(source, at);
    tokens.push(token);
    at = token.to;
    if (token.kind === 'open' && rawElements.has(token.name)) {
      const to = endOfRaw(source, at, token.name);
      if (to > at) tokens.push({ kind: 'hidden', from: at, to });
      at = to;
    }
  }
  return tokens;
}

/** The attributes of a start tag, in order. Liquid between attributes is none. */
export function listAttributes(tag: string): HtmlAttribute[] {
  const attributes: HtmlAttribute[] = [];
  let at = /^<[A-Za-z][^\s/>{]*/.exec(tag)?.[0].length ?? tag.length;
  while (at < tag.length) {
    const liquid = endOfLiquid(tag, at);
    if (liquid > at) at = liquid;
    else if (/[\s/>=]/.test(tag[at] ?? '')) at += 1;
    else {
      const attribute = attributeAt(tag, at);
      attributes.push(attribute);
      at = attribute.to;
    }
  }
  return attributes;
}

/** Where the Liquid that begins at `at` ends; `at` itself where none does. */
export function endOfLiquid(source: string, at: number): number {
  if (source[at] !== '{') return at;
  if (source[at + 1] === '{') return endOf(source, at, '}}');
  if (source[at + 1] !== '%') return at;
  const to = endOf(source, at, '%}');
  const block = /^\{%-?\s*(raw|comment)\s*-?%\}$/.exec(source.slice(at, to))?.[1];
  if (block === undefined) return to;
  const close = new RegExp(`\\{%-?\\s*end${block}\\s*-?%\\}`, 'g');
  close.lastIndex = to;
  return close.exec(source) === null ? to : close.lastIndex;
}

function tokenAt(source: string, from: number): HtmlToken {
  const liquid = endOfLiquid(source, from);
  if (liquid > from) return { kind: 'liquid', from, to: liquid };
  if (source.startsWith('<!--', from)) return { kind: 'hidden', from, to: endOf(source, from, '-->') };
  if (source[from] === '<' && /[!?]/.test(source[from + 1] ?? ''))
    return { kind: 'hidden', from, to: endOf(source, from, '>') };
  const name = nameAt(source, from);
  if (name === undefined) return { kind: 'text', from, to: endOfText(source, from + 1) };
  const kind = source[from + 1] === '/' ? 'close' : 'open';
  return { kind, from, to: endOfTag(source, from), name: name.toLowerCase() };
}

function nameAt(source: string, from: number): string | undefined {
  if (source[from] !== '<') return undefined;
  const pattern = /<\/?([A-Za-z][^\s/>{]*)/y;
  pattern.lastIndex = from;
  return pattern.exec(source)?.[1];
}

function endOfText(source: string, from: number): number {
  let at = from;
  while (at < source.length && source[at] !== '<' && endOfLiquid(source, at) === at) at += 1;
  return at;
}

/** A ">" within quotes or Liquid ends no tag. */
function endOfTag(source: string, from: number): number {
  let quote = '';
  for (let at = from + 1; at < source.length; at++) {
    const liquid = endOfLiquid(source, at);
    const character = source[at] ?? '';
    if (liquid > at) at = liquid - 1;
    else if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === '>') return at + 1;
    else if (
      (character === '"' || character === "'") &&
      /=\s*$/.test(source.slice(Math.max(from, at - 10), at))
    )
      quote = character;
  }
  return source.length;
}

function endOfRaw(source: string, from: number, name: string): number {
  const close = new RegExp(`</${name}(?=[\\s/>])`, 'gi');
  close.lastIndex = from;
  return close.exec(source)?.index ?? source.length;
}

function attributeAt(tag: string, from: number): HtmlAttribute {
  let at = from;
  while (at < tag.length && endOfLiquid(tag, at) === at && !/[\s/>=]/.test(tag[at] ?? '')) at += 1;
  const name = tag.slice(from, at).toLowerCase();
  const equals = /^\s*=\s*/.exec(tag.slice(at))?.[0];
  if (equals === undefined) return { name, value: undefined, from, to: Math.max(at, from + 1) };
  at += equals.length;
  const quote = tag[at] === '"' || tag[at] === "'" ? tag[at] : undefined;
  const begin = quote === undefined ? at : at + 1;
  at = begin;
  while (at < tag.length && !(quote === undefined ? /[\s>]/.test(tag[at] ?? '') : tag[at] === quote))
    at = Math.max(endOfLiquid(tag, at), at + 1);
  return { name, value: tag.slice(begin, at), from, to: quote === undefined ? at : at + 1 };
}

function endOf(source: string, from: number, mark: string): number {
  const at = source.indexOf(mark, from);
  return at === -1 ? source.length : at + mark.length;
}
