// Where a link leads: which schemes may be written in a template, and which may come out of a list.

/** What is known of a link while its parts come one after the other. */
export type LinkState =
  /** Static text so far, and no scheme or path can be read off it yet; '' at the link's start. */
  | { readonly kind: 'prefix'; readonly text: string }
  /** A value is part of it, and whether a scheme comes is still open. */
  | { readonly kind: 'open' }
  /** Scheme or path are known: what follows cannot change them. */
  | { readonly kind: 'settled' };

export const linkStart: LinkState = { kind: 'prefix', text: '' };
export const openLink: LinkState = { kind: 'open' };
const settledLink: LinkState = { kind: 'settled' };

/** What a value may begin a link with; everything else that has a scheme is refused. */
const allowedSchemes = new Set(['http', 'https', 'mailto', 'tel', 'sms', 'cid']);

/** What runs scripts or reads files. A template's author may use any other scheme: app links, webcal, … */
const refusedSchemes = new Set([
  'javascript',
  'vbscript',
  'livescript',
  'mocha',
  'data',
  'file',
  'blob',
  'filesystem',
  'view-source',
  'jar',
]);

/** No scheme is as long as this. */
const longestPrefix = 200;

/** Why a value cannot stand at the very start of a link; '' where it can. */
export function findLinkFlaw(value: string): string {
  const scheme = schemeOf(decodeReferences(value));
  if (scheme === undefined || allowedSchemes.has(scheme)) return '';
  return `begins a link with a scheme other than ${[...allowedSchemes].join(', ')}`;
}

/** Why a value cannot stand where a link's scheme may still be open; '' where it can. */
export function findLaterLinkFlaw(value: string): string {
  return schemeOf(decodeReferences(value)) === undefined
    ? ''
    : 'has a ":" where it could become the scheme of a link (url_encode it, or begin the link with https://)';
}

/** Goes on with static text, as it is written in the attribute; a scheme that is refused is named. */
export function extendLink(state: LinkState, text: string): LinkState | { kind: 'refused'; scheme: string } {
  if (state.kind === 'settled' || text === '') return state;
  const prefix = state.kind === 'prefix' ? state.text + text : text;
  const decoded = decodeReferences(prefix);
  const scheme = schemeOf(decoded);
  if (scheme !== undefined) {
    if (state.kind === 'open') return { kind: 'refused', scheme: 'that a value is part of' };
    return refusedSchemes.has(scheme) ? { kind: 'refused', scheme } : settledLink;
  }
  if (/[/?#]/.test(decoded) || prefix.length > longestPrefix) return settledLink;
  return state.kind === 'open' ? state : { kind: 'prefix', text: prefix };
}

/** Where one of several ways led to a link. */
export function joinLinks(one: LinkState, other: LinkState): LinkState {
  if (one.kind === 'settled' && other.kind === 'settled') return one;
  if (one.kind === 'prefix' && other.kind === 'prefix' && one.text === other.text) return one;
  return openLink;
}

/**
 * What stands before the first ":" if no "/", "?" or "#" comes before it, in lower case and without what browsers
 * drop from URLs (WHATWG URL §4.4: C0 controls and spaces around, tabs and line breaks anywhere), and without other
 * invisible characters, for some mail programs drop those, too.
 */
function schemeOf(link: string): string | undefined {
  const end = link.search(/[:/?#]/);
  if (end === -1 || link[end] !== ':') return undefined;
  return link
    .slice(0, end)
    .replace(/[\p{Cc}\p{Cf}\p{Z}]+/gu, '')
    .toLowerCase();
}

const namedReferences: Record<string, string> = {
  colon: ':',
  Tab: '\t',
  NewLine: '\n',
  sol: '/',
  quest: '?',
  num: '#',
  amp: '&',
};

/**
 * Character references as browsers read them in attributes. Values are escaped, so theirs stay text; they are decoded
 * nevertheless, for some mail programs decode twice.
 */
function decodeReferences(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(
    /&(?:#(\d{1,8});?|#[xX]([\da-fA-F]{1,7});?|([A-Za-z]{3,7});)/g,
    (whole, decimal, hex, name) => {
      if (name !== undefined) return namedReferences[String(name)] ?? whole;
      const code = decimal === undefined ? Number.parseInt(String(hex), 16) : Number(decimal);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
    },
  );
}
