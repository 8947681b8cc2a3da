// What a value may be at its place in HTML: which places take any, which take only some, and which take none.
import { unreachable } from '../base/invariant.ts';
import { unknownName, type HtmlState } from './html_scan.ts';
import { findLaterLinkFlaw, findLinkFlaw } from './link.ts';

/**
 * What the values of a place are held to, besides being escaped; in the order of strictness.
 * - any: text and most attributes.
 * - link: may begin a link. laterLink: stands where a link's scheme may still be open.
 * - style: part of a style attribute.
 */
export type ValueRule = 'any' | 'link' | 'laterLink' | 'style';

export type HtmlPlace =
  | { readonly kind: 'takes'; readonly rule: ValueRule; readonly takesMarkup: boolean }
  | { readonly kind: 'refuses'; readonly where: string; readonly hint: string };

/** Judges the place of a value. */
export function judgePlace(state: HtmlState): HtmlPlace {
  switch (state.kind) {
    case 'text':
      return { kind: 'takes', rule: 'any', takesMarkup: state.element === undefined };
    case 'quoted':
      return judgeAttribute(state);
    case 'unquoted':
    case 'beforeValue':
      return refuse(`in the attribute ${state.attr} without quotes`, `Write ${state.attr}="{{ … }}".`);
    case 'raw':
      return refuse(
        `inside of <${state.element}>`,
        'Put the value into the text, or into an attribute in quotes.',
      );
    case 'comment':
    case 'bogus':
    case 'markup':
      return refuse(
        'inside of a comment',
        'Take it out: recipients could read it in the source, and nothing else is gained.',
      );
    case 'tagOpen':
    case 'tagName':
    case 'between':
    case 'gap':
    case 'attrName':
    case 'afterAttrName':
      return refuse(
        'inside of a tag, where it would make a name',
        'Write the tag and its attributes out, and the value into quotes: class="{{ … }}".',
      );
    default:
      return unreachable(state);
  }
}

/** Why a value cannot stand under a rule; '' where it can. */
export function findValueFlaw(rule: ValueRule, value: string): string {
  switch (rule) {
    case 'any':
      return '';
    case 'link':
      return findLinkFlaw(value);
    case 'laterLink':
      return findLaterLinkFlaw(value);
    case 'style':
      return findStyleFlaw(value);
    default:
      return unreachable(rule);
  }
}

/** The stricter of two rules: what obeys it obeys both. */
export function stricterRule(one: ValueRule, other: ValueRule): ValueRule {
  return strictness.indexOf(one) > strictness.indexOf(other) ? one : other;
}

const strictness: readonly ValueRule[] = ['any', 'link', 'laterLink', 'style'];

/**
 * Styles take colours, sizes and words, which real letters need (a brand's colour, the width of a bar), and nothing
 * that could begin another declaration, a url() or an escape: that needs ":", ";", "(", "\", "/", "@" or a quote.
 */
function findStyleFlaw(value: string): string {
  return /^[\p{L}\p{N} #%.,+_-]*$/u.test(value)
    ? ''
    : 'goes into a style, which takes only letters, digits, spaces and # % . , + - _';
}

function judgeAttribute({ tag, attr, link }: Extract<HtmlState, { kind: 'quoted' }>): HtmlPlace {
  if (attr === unknownName) {
    return refuse('in an attribute whose name a condition changes', 'Write each attribute out in both ways.');
  }
  if (attr.startsWith('on'))
    return refuse(`in the event handler ${attr}`, 'Mail programs run none: take it out.');
  if (attr === 'srcdoc' || (tag === 'meta' && attr === 'content') || attr === 'http-equiv') {
    return refuse(`in ${attr}`, 'Write it out.');
  }
  if (attr === 'style') return takes('style');
  if (link === undefined || link.kind === 'settled') return takes('any');
  return takes(link.kind === 'prefix' && link.text === '' ? 'link' : 'laterLink');
}

function takes(rule: ValueRule): HtmlPlace {
  return { kind: 'takes', rule, takesMarkup: false };
}

function refuse(where: string, hint: string): HtmlPlace {
  return { kind: 'refuses', where, hint };
}
