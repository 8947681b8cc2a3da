// Partials as text, for text parts that are made of HTML: each by the name that it has in the HTML.
import type { TemplateSource } from '../mail/campaign.ts';
import { countBreaks, type PartialBreaks } from './block_elements.ts';
import { makeTextTemplate } from './text_from_html.ts';

type Partials = Readonly<Record<string, TemplateSource>>;

/** Nesting beyond this is no partial that anybody wrote. */
const deepest = 20;

/** Makes text of every partial. Each ends with the line breaks that `measurePartials` says. */
export function makeTextPartials(partials: Partials, breaks: PartialBreaks): Partials {
  const made = Object.entries(partials).map(([name, partial]): [string, TemplateSource] => {
    const text = makeTextTemplate(partial.source, breaks).trim();
    const missing = (breaks.get(name) ?? 0) - breaksAtEnd(text, breaks);
    const source =
      breaks.get(name) === 0
        ? keepBlanks(text, partial.source)
        : `${text}${'\n'.repeat(Math.max(0, missing))}`;
    return [name, { file: `${partial.file} (as text)`, line: 1, source, isTextOfHtml: true }];
  });
  return Object.fromEntries(made);
}

/** The line breaks that the text of each partial ends with, those by its own partials included. */
export function measurePartials(partials: Partials): PartialBreaks {
  let breaks: PartialBreaks = new Map();
  for (let depth = 0; depth < deepest; depth++) {
    const next = new Map(
      Object.entries(partials).map(([name, { source }]): [string, number] => [
        name,
        countBreaks(source, breaks),
      ]),
    );
    const isSame = [...next].every(([name, count]) => breaks.get(name) === count);
    breaks = next;
    if (isSame) break;
  }
  return breaks;
}

/** What the partial brings that the text ends with. */
function breaksAtEnd(text: string, breaks: PartialBreaks): number {
  const name = /\{%\s*(?:render|include)\s+["']([^"']*)["'][^{}]*%\}$/.exec(text)?.[1];
  return name === undefined ? 0 : (breaks.get(name) ?? 0);
}

/** A part of a line keeps the blanks around it, for there may be words next to it. */
function keepBlanks(text: string, html: string): string {
  return `${/^\s/.test(html) ? ' ' : ''}${text}${/\s$/.test(html) ? ' ' : ''}`;
}
