// Where the preheader goes: hidden at the very start of the HTML body, followed by padding.
import type { TemplateSource } from '../mail/campaign.ts';
import { main } from './liquid_engine.ts';

const hidden =
  '<div style="display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all">';

/** Inboxes show about 150 characters; these take up the rest, so that none of the body's text is drawn in. */
const padding = '&#847;&zwnj;&nbsp;'.repeat(100);

/** The tag that the engine renders the preheader by. */
const tag = '{% preheader %}';

/**
 * Puts the preheader behind the tag <body …> of the template, or of the layout that has it; without one, at the top. In
 * the same line, so that errors keep theirs.
 */
export function placePreheader(sources: Map<string, TemplateSource>): void {
  const template = sources.get(main);
  if (template === undefined) return;
  const at = findBody(template.source);
  const found = listNamed(sources).map(([name, source]) => ({ name, source, at: findBody(source.source) }));
  if (at !== undefined || found.every((one) => one.at === undefined)) {
    sources.set(main, insert(template, at ?? 0));
    return;
  }
  for (const one of found) if (one.at !== undefined) sources.set(one.name, insert(one.source, one.at));
}

/** The files that the template may print, directly or by another file: a layout of other templates is none of them. */
function listNamed(sources: ReadonlyMap<string, TemplateSource>): [string, TemplateSource][] {
  const named = new Map<string, TemplateSource>();
  const waiting = [sources.get(main)];
  for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
    const { source } = one;
    for (const [name, file] of sources) {
      const isNamed = source.includes(`'${name}'`) || source.includes(`"${name}"`);
      if (!isNamed || named.has(name)) continue;
      named.set(name, file);
      waiting.push(file);
    }
  }
  return [...named];
}

/** Behind the tag. The first one that is not in a comment: those are for Outlook alone. */
function findBody(html: string): number | undefined {
  const visible = html.replace(/<!--[^]*?-->/g, (comment) => ' '.repeat(comment.length));
  const match = /<body(?=[\s>])(?:[^>"']|"[^"]*"|'[^']*')*>/i.exec(visible);
  return match === null ? undefined : match.index + match[0].length;
}

function insert(source: TemplateSource, at: number): TemplateSource {
  const text = source.source;
  return { ...source, source: `${text.slice(0, at)}${hidden}${tag}${padding}</div>${text.slice(at)}` };
}
