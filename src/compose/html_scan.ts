// Where a template's text stands in HTML: the tokenizer of the HTML Standard (§13.2.5), as far as encoding values needs it.
import { unreachable } from '../base/invariant.ts';
import { extendLink, joinLinks, linkStart, openLink, type LinkState } from './link.ts';

/**
 * States, and what is true in each:
 * - text: between tags; also title and textarea (`element`), where tags are text.
 * - raw: inside of `element`, whose content ends only with its end tag: script, style and the like.
 * - tagOpen: after "<" or "</".
 * - tagName: in a tag's name. between: after the name and white space, or after a value. attrName, afterAttrName: in
 *   an attribute's name, or after it. beforeValue: after "=". quoted, unquoted: in a value.
 * - gap: one of several ways ended in the middle of a name; only white space, "/" or ">" says where we are.
 * - markup: after "<!", before it is known what follows. comment, bogus: until "-->", until ">".
 *
 * A conditional comment (`<!--[if mso]>`) is HTML for Outlook and a comment for others: its content is scanned as HTML,
 * and what escaping yields cannot end a comment.
 */
export type HtmlState =
  | { readonly kind: 'text'; readonly element?: string; readonly tail?: string }
  | { readonly kind: 'raw'; readonly element: string; readonly tail: string }
  | { readonly kind: 'tagOpen'; readonly isEnd: boolean }
  | { readonly kind: 'tagName' | 'between' | 'gap'; readonly tag: string }
  | { readonly kind: 'attrName' | 'afterAttrName'; readonly tag: string; readonly attr: string }
  | { readonly kind: 'beforeValue' | 'unquoted'; readonly tag: string; readonly attr: string }
  | {
      readonly kind: 'quoted';
      readonly tag: string;
      readonly attr: string;
      readonly quote: string;
      readonly link: LinkState | undefined;
    }
  | { readonly kind: 'markup'; readonly text: string }
  | { readonly kind: 'comment'; readonly text: string }
  | { readonly kind: 'bogus' };

/** What is wrong with a template's own text, and at which character of it. */
export interface HtmlFlaw {
  readonly at: number;
  readonly scheme: string;
  readonly attr: string;
}

export const htmlStart: HtmlState = { kind: 'text' };

/** HTML Standard §13.1.2: their content is no markup (script and style), or text with character references (the others). */
const rawElements = new Set(['script', 'style', 'xmp', 'iframe', 'noembed', 'noframes', 'plaintext']);
const textElements = new Set(['title', 'textarea']);

/** Attributes whose value is a URL, in HTML, SVG and VML, and those that SVG's animations set others to. */
const linkAttributes = new Set(
  (
    'href src action formaction background cite poster xlink:href longdesc usemap codebase classid profile manifest ' +
    'archive dynsrc lowsrc icon ping data srcset imagesrcset to from by values'
  ).split(' '),
);

/** Goes on with a template's own text. `tell` hears of links that are refused. */
export function scanHtml(from: HtmlState, text: string, tell: (flaw: HtmlFlaw) => void): HtmlState {
  let state = from;
  let at = 0;
  while (at < text.length) {
    const step = takeStep(state, text, at, tell);
    state = step.state;
    at = step.at;
  }
  return state;
}

/** After a value: what it is made of cannot change the state, but a link that began is open now. */
export function passValue(state: HtmlState): HtmlState {
  if (state.kind === 'quoted' && state.link?.kind === 'prefix') return { ...state, link: openLink };
  if (state.kind === 'text' && state.tail !== undefined) return { ...state, tail: '' };
  return state;
}

/** The state after one of several ways, or undefined where they lead to places that differ. */
export function joinHtml(one: HtmlState, other: HtmlState): HtmlState | undefined {
  if (isSameState(one, other)) return one;
  if (one.kind === 'text' && other.kind === 'text' && one.element === other.element)
    return { ...one, tail: '' };
  if (one.kind === 'quoted' && other.kind === 'quoted') {
    const isSame = one.tag === other.tag && one.attr === other.attr && one.quote === other.quote;
    if (!isSame || one.link === undefined || other.link === undefined) return undefined;
    return { ...one, link: joinLinks(one.link, other.link) };
  }
  const tag = openTagOf(one);
  return tag !== undefined && tag === openTagOf(other) ? { kind: 'gap', tag } : undefined;
}

export function isSameState(one: HtmlState, other: HtmlState): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The tag whose attributes may come next. */
function openTagOf(state: HtmlState): string | undefined {
  switch (state.kind) {
    case 'tagName':
    case 'between':
    case 'gap':
    case 'attrName':
    case 'afterAttrName':
    case 'unquoted':
      return state.tag;
    case 'text':
    case 'raw':
    case 'tagOpen':
    case 'beforeValue':
    case 'quoted':
    case 'markup':
    case 'comment':
    case 'bogus':
      return undefined;
    default:
      return unreachable(state);
  }
}

interface Step {
  readonly state: HtmlState;
  readonly at: number;
}

function takeStep(state: HtmlState, text: string, at: number, tell: (flaw: HtmlFlaw) => void): Step {
  const character = text.charAt(at);
  switch (state.kind) {
    case 'text':
      return takeText(state, text, at);
    case 'raw':
      return takeRaw(state, text, at);
    case 'tagOpen':
      return takeTagOpen(state.isEnd, character, at);
    case 'tagName':
      if (isBlank(character) || character === '/')
        return { state: { kind: 'between', tag: state.tag }, at: at + 1 };
      if (character === '>') return { state: afterTag(state.tag), at: at + 1 };
      return { state: { kind: 'tagName', tag: state.tag + character.toLowerCase() }, at: at + 1 };
    case 'between':
      return takeBetween(state.tag, character, at);
    case 'gap':
      if (isBlank(character) || character === '/' || character === '>')
        return takeBetween(state.tag, character, at);
      // A name goes on that began in one way only; nothing is known before the tag ends.
      return { state: { kind: 'attrName', tag: state.tag, attr: unknownName }, at: at + 1 };
    case 'attrName':
    case 'afterAttrName':
      return takeAttrName(state, character, at);
    case 'beforeValue':
      return takeBeforeValue(state.tag, state.attr, character, at);
    case 'quoted':
      return takeQuoted(state, text, at, tell);
    case 'unquoted':
      return takeUnquoted(state, text, at, tell);
    case 'markup':
      return takeMarkup(state.text + character, at);
    case 'comment':
      return takeComment(state.text + character, at);
    case 'bogus':
      return { state: character === '>' ? htmlStart : state, at: at + 1 };
    default:
      return unreachable(state);
  }
}

/** An attribute of which only a part of the name is known; no value may stand in it. */
export const unknownName = '?';

function takeText(state: Extract<HtmlState, { kind: 'text' }>, text: string, at: number): Step {
  if (state.element !== undefined)
    return takeElement({ ...state, element: state.element, tail: state.tail ?? '' }, text, at);
  const open = text.indexOf('<', at);
  if (open === -1) return { state: htmlStart, at: text.length };
  return { state: { kind: 'tagOpen', isEnd: false }, at: open + 1 };
}

function takeRaw(state: Extract<HtmlState, { kind: 'raw' }>, text: string, at: number): Step {
  return takeElement(state, text, at);
}

/** Waits for "</name" and a character that ends the name; `tail` is the end of what was read. */
function takeElement(
  state: { kind: 'text' | 'raw'; element: string; tail: string },
  text: string,
  at: number,
): Step {
  const tail = (state.tail + text.charAt(at).toLowerCase()).slice(-(state.element.length + 3));
  const isEnd =
    state.element !== 'plaintext' && tail.startsWith(`</${state.element}`) && /[\s/>]$/.test(tail);
  if (!isEnd) return { state: { ...state, tail }, at: at + 1 };
  return {
    state: tail.endsWith('>') ? htmlStart : { kind: 'between', tag: `/${state.element}` },
    at: at + 1,
  };
}

function takeTagOpen(isEnd: boolean, character: string, at: number): Step {
  if (/[A-Za-z]/.test(character)) {
    return { state: { kind: 'tagName', tag: (isEnd ? '/' : '') + character.toLowerCase() }, at: at + 1 };
  }
  if (!isEnd && character === '/') return { state: { kind: 'tagOpen', isEnd: true }, at: at + 1 };
  if (!isEnd && character === '!') return { state: { kind: 'markup', text: '' }, at: at + 1 };
  if (character === '?' || (isEnd && character !== '>')) return { state: { kind: 'bogus' }, at: at + 1 };
  // "<" was text after all, or "</>" nothing.
  return { state: htmlStart, at: isEnd ? at + 1 : at };
}

function takeBetween(tag: string, character: string, at: number): Step {
  if (character === '>') return { state: afterTag(tag), at: at + 1 };
  if (isBlank(character) || character === '/') return { state: { kind: 'between', tag }, at: at + 1 };
  return { state: { kind: 'attrName', tag, attr: character.toLowerCase() }, at: at + 1 };
}

function takeAttrName(
  state: { kind: 'attrName' | 'afterAttrName'; tag: string; attr: string },
  character: string,
  at: number,
): Step {
  const { kind, tag, attr } = state;
  if (character === '>' || character === '/') return takeBetween(tag, character, at);
  if (character === '=') return { state: { kind: 'beforeValue', tag, attr }, at: at + 1 };
  if (isBlank(character)) return { state: { kind: 'afterAttrName', tag, attr }, at: at + 1 };
  if (kind === 'afterAttrName') return takeBetween(tag, character, at);
  const name = attr === unknownName ? attr : attr + character.toLowerCase();
  return { state: { kind: 'attrName', tag, attr: name }, at: at + 1 };
}

function takeBeforeValue(tag: string, attr: string, character: string, at: number): Step {
  if (isBlank(character)) return { state: { kind: 'beforeValue', tag, attr }, at: at + 1 };
  if (character === '>') return { state: afterTag(tag), at: at + 1 };
  if (character !== '"' && character !== "'") return { state: { kind: 'unquoted', tag, attr }, at };
  const link = linkAttributes.has(attr) ? linkStart : undefined;
  return { state: { kind: 'quoted', tag, attr, quote: character, link }, at: at + 1 };
}

function takeQuoted(
  state: Extract<HtmlState, { kind: 'quoted' }>,
  text: string,
  at: number,
  tell: (flaw: HtmlFlaw) => void,
): Step {
  const found = text.indexOf(state.quote, at);
  const end = found === -1 ? text.length : found;
  const link = state.link && followLink(state, state.link, text.slice(at, end), at, tell);
  if (found !== -1) return { state: { kind: 'between', tag: state.tag }, at: end + 1 };
  return { state: { ...state, link }, at: end };
}

function takeUnquoted(
  state: { kind: 'beforeValue' | 'unquoted'; tag: string; attr: string },
  text: string,
  at: number,
  tell: (flaw: HtmlFlaw) => void,
): Step {
  const found = text.slice(at).search(/[\s>]/);
  const end = found === -1 ? text.length : at + found;
  if (linkAttributes.has(state.attr)) followLink(state, linkStart, text.slice(at, end), at, tell);
  if (found === -1) return { state, at: end };
  return takeBetween(state.tag, text.charAt(end), end);
}

function followLink(
  { tag, attr }: { tag: string; attr: string },
  link: LinkState,
  text: string,
  at: number,
  tell: (flaw: HtmlFlaw) => void,
): LinkState {
  const next = extendLink(link, text);
  if (next.kind !== 'refused') return next;
  // An image that is part of the page runs nothing.
  const isImage = tag === 'img' || tag === 'source' || attr === 'background';
  if (next.scheme !== 'data' || !isImage) tell({ at, scheme: next.scheme, attr });
  return { kind: 'settled' };
}

/** "<!--" begins a comment, and "<!-->" ends it at once; everything else ends with ">". */
function takeMarkup(text: string, at: number): Step {
  if (text === '--') return { state: { kind: 'comment', text: '' }, at: at + 1 };
  if (text === '-') return { state: { kind: 'markup', text }, at: at + 1 };
  return { state: text.endsWith('>') ? htmlStart : { kind: 'bogus' }, at: at + 1 };
}

function takeComment(text: string, at: number): Step {
  const isOver = text === '>' || text === '->' || text.endsWith('-->') || text.endsWith('--!>');
  const isConditional = /^\[if\b[^>]*\]>$/i.test(text);
  if (isOver || isConditional) return { state: htmlStart, at: at + 1 };
  // Only a beginning that may become "[if …]>" is kept whole.
  const kept = /^(?:\[(?:i(?:f.{0,200})?)?)?$/is.test(text) ? text : `.${text.slice(-3)}`;
  return { state: { kind: 'comment', text: kept }, at: at + 1 };
}

function afterTag(tag: string): HtmlState {
  if (rawElements.has(tag)) return { kind: 'raw', element: tag, tail: '' };
  return textElements.has(tag) ? { kind: 'text', element: tag, tail: '' } : htmlStart;
}

function isBlank(character: string): boolean {
  return (
    character === ' ' || character === '\n' || character === '\t' || character === '\r' || character === '\f'
  );
}
