// The door to css-inline: style sheets of an HTML template become style attributes.
//
// The package reads HTML into a tree and writes it anew, which would move Liquid and close what a branch leaves open.
// So it gets a copy in which every start tag has a number, and all that is taken from its answer are the style
// attributes and what is left of style sheets: everything else of the template stays as it is, byte for byte.
import { messageOf } from '../base/error.ts';
import { listAttributes, tokenizeHtml, type HtmlAttribute, type HtmlToken } from './html_tokens.ts';
import { LiquidMarks } from './liquid_marks.ts';
import { brokenPackage, functionOf, loadPackage, type PackageFinder } from './optional_package.ts';

const packageName = '@css-inline/css-inline';
const number = 'data-posthaste';

/** Inlines the style sheets of a template into its own tags; those of partials stay as they are. Throws ERR_PACKAGE_MISSING, ERR_PACKAGE_BROKEN. */
export async function inlineCss(source: string, find: PackageFinder): Promise<string> {
  const inline = functionOf(await loadPackage(packageName, 'css: inline', find), 'inline');
  if (inline === undefined) throw brokenPackage(packageName, 'it has no function "inline"');
  const marks = new LiquidMarks();
  const page = readPage(source);
  const answer = run(() =>
    inline(numberTags(page, marks), {
      keepStyleTags: true,
      keepAtRules: true,
      removeInlinedSelectors: !page.keepsRules,
      loadRemoteStylesheets: false,
    }),
  );
  return writePage(page, readAnswer(answer, marks));
}

interface Page {
  readonly source: string;
  readonly tokens: readonly HtmlToken[];
  /** Numbers of the style sheets that are inlined. */
  readonly sheets: ReadonlySet<number>;
  /** Rules stay where they are, too: for classes that Liquid chooses, and for the HTML of partials and layouts. */
  readonly keepsRules: boolean;
}

function run(inline: () => unknown): string {
  let answer: unknown;
  try {
    answer = inline();
  } catch (thrown) {
    throw brokenPackage(packageName, messageOf(thrown), thrown);
  }
  if (typeof answer !== 'string') throw brokenPackage(packageName, 'it returned no HTML');
  return answer;
}

function readPage(source: string): Page {
  const tokens = tokenizeHtml(source);
  const sheets = new Set<number>();
  let keepsRules = /\{%-?\s*(?:render|include|layout|liquid)\b/.test(source);
  tokens.forEach((token, index) => {
    if (token.kind !== 'open') return;
    const attributes = listAttributes(source.slice(token.from, token.to));
    const chooses = choosesAttributes(source.slice(token.from, token.to), attributes);
    keepsRules ||= attributes.some(({ name, value }) => isName(name) && (chooses || value?.includes('{')));
    if (token.name === 'style' && isInlined(source, attributes, tokens[index + 1])) sheets.add(index);
  });
  return { source, tokens, sheets, keepsRules };
}

/** Rules that Liquid chooses, and those for other media, stay where they are. */
function isInlined(
  source: string,
  attributes: readonly HtmlAttribute[],
  content: HtmlToken | undefined,
): boolean {
  const media = attributes
    .find(({ name }) => name === 'media')
    ?.value?.trim()
    .toLowerCase();
  if (media !== undefined && media !== '' && media !== 'all' && media !== 'screen') return false;
  return content?.kind === 'hidden' && !source.slice(content.from, content.to).includes('{%');
}

/** The copy for the package: numbered tags, text as it is, no Liquid but in what it must carry over. */
function numberTags({ source, tokens, sheets }: Page, marks: LiquidMarks): string {
  let copy = '';
  tokens.forEach((token, index) => {
    const written = source.slice(token.from, token.to);
    const before = tokens[index - 1];
    const isStyle = before?.kind === 'open' && before.name === 'style';
    if (token.kind === 'open') copy += numberTag(token.name, written, index, sheets.has(index));
    else if (isStyle && token.kind === 'hidden') copy += sheets.has(index - 1) ? marks.hide(written) : '';
    else if (token.kind !== 'liquid' && token.kind !== 'hidden') copy += written;
  });
  return copy;
}

function numberTag(name: string, written: string, index: number, isSheet: boolean): string {
  // Nothing is to be fetched, and what is in another sheet is another's.
  if (name === 'link' || name === 'base') return '';
  if (name === 'style') return `<style ${isSheet ? `${number}="${index}"` : ''}>`;
  const attributes = listAttributes(written);
  const chooses = choosesAttributes(written, attributes);
  const kept = attributes
    .filter((one) => !(chooses && isName(one.name)))
    .filter((one) => !(one.name === 'style' && (one.value ?? '').includes('{')))
    .filter((one) => /^[a-z][\w:.-]*$/.test(one.name) && !one.name.startsWith(number))
    .map((one) => ` ${one.name}="${withoutChoices(one.value ?? '').replaceAll('"', '&quot;')}"`);
  return `<${name} ${number}="${index}"${kept.join('')}${written.endsWith('/>') ? '/' : ''}>`;
}

/** Whether Liquid stands between the attributes of a tag, so that nobody knows which of them it will have. */
function choosesAttributes(tag: string, attributes: readonly HtmlAttribute[]): boolean {
  const between = attributes
    .toReversed()
    .reduce((left, { from, to }) => left.slice(0, from) + left.slice(to), tag);
  return between.includes('{%') || between.includes('{{');
}

/** What is certain of a value: neither what Liquid prints nor what stands in its branches. */
function withoutChoices(value: string): string {
  return value.replace(/\{%[^]*%\}/g, ' ').replace(/\{\{[^]*?\}\}/g, ' ');
}

interface Answer {
  /** By the numbers of tags, as written between quotes. */
  readonly styles: ReadonlyMap<number, string>;
  readonly sheets: ReadonlyMap<number, string>;
  /** Media queries and the like, which the package puts in front of all. */
  readonly atRules: string;
}

function readAnswer(answer: string, marks: LiquidMarks): Answer {
  const styles = new Map<number, string>();
  const sheets = new Map<number, string>();
  let atRules = '';
  const tokens = tokenizeHtml(answer);
  tokens.forEach((token, index) => {
    if (token.kind !== 'open') return;
    const attributes = new Map(
      listAttributes(answer.slice(token.from, token.to)).map(({ name, value }) => [name, value ?? '']),
    );
    const numbered = attributes.get(number);
    const content = tokens[index + 1];
    if (token.name === 'style') {
      const css =
        content?.kind === 'hidden' ? marks.restore(answer.slice(content.from, content.to).trim()) : '';
      if (numbered !== undefined) sheets.set(Number(numbered), css);
      else if (atRules === '') atRules = css;
      return;
    }
    const style = attributes.get('style');
    if (numbered !== undefined && style !== undefined)
      styles.set(Number(numbered), marks.restore(escapeValue(style)));
  });
  return { styles, sheets, atRules };
}

/** The template with the answer's styles in its tags. */
function writePage(page: Page, answer: Answer): string {
  const { source, tokens, sheets, keepsRules } = page;
  let written = '';
  let atRules = keepsRules ? '' : answer.atRules;
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index];
    if (token === undefined) break;
    const original = source.slice(token.from, token.to);
    if (token.kind !== 'open') written += original;
    else if (sheets.has(index) && !keepsRules) {
      const css = [atRules, answer.sheets.get(index) ?? ''].filter((one) => one !== '').join('\n');
      atRules = '';
      // Nothing is left of it: the element goes, from its start tag to its end tag.
      written += css === '' ? '' : `${original}${css}`;
      index += 1;
      if (css === '' && tokens[index + 1]?.kind === 'close') index += 1;
    } else written += setStyle(original, answer.styles.get(index));
  }
  return written;
}

/** The package writes "&" as it is, which the next reader could take for an entity. */
function escapeValue(style: string): string {
  return style
    .replace(/&(?!(?:amp|quot|lt|gt|#\d+);)/g, '&amp;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** What Liquid prints into a style comes behind the rules, for it would win over them. */
function setStyle(tag: string, style: string | undefined): string {
  if (style === undefined) return tag;
  const own = listAttributes(tag).find(({ name }) => name === 'style');
  if (own === undefined) return tag.replace(/^<[A-Za-z][^\s/>{]*/, (start) => `${start} style="${style}"`);
  const printed = own.value?.includes('{') === true ? own.value : '';
  const whole = printed === '' ? style : `${style}${/;\s*$/.test(style) ? '' : ';'} ${printed}`;
  const quote = tag[own.to - 1] === "'" ? "'" : '"';
  return `${tag.slice(0, own.from)}style=${quote}${whole}${quote}${tag.slice(own.to)}`;
}

function isName(name: string): boolean {
  return name === 'class' || name === 'id';
}
