// The files that templates name: found in their text, so that they are read when the campaign is.

/** A partial's or layout's name, and where it stands, both 1-based. */
export interface NamedPartial {
  readonly name: string;
  readonly line: number;
  readonly column: number;
}

const tags = /\{%-?\s*(?<tag>[\w#]+)(?<rest>(?:"[^"]*"|'[^']*'|(?!-?%\})[^"'])*)-?%\}/g;
const naming = /^\s*(?:render|include|layout)\s+(?:"(?<double>[^"]*)"|'(?<single>[^']*)')/;

/** Tags whose content is no template, and how they end. */
const verbatim: Readonly<Record<string, RegExp>> = {
  raw: /\{%-?\s*endraw\s*-?%\}/g,
  comment: /\{%-?\s*endcomment\s*-?%\}/g,
};

/**
 * Finds what {% render %}, {% include %} and {% layout %} name in quotes. Whoever parses the template refuses what this
 * does not find: names that are made of values, and files that were not read.
 */
export function findPartials(source: string): NamedPartial[] {
  const found: NamedPartial[] = [];
  const pattern = new RegExp(tags);
  for (let match = pattern.exec(source); match !== null; match = pattern.exec(source)) {
    const { tag = '', rest = '' } = match.groups ?? {};
    const end = Object.hasOwn(verbatim, tag) ? verbatim[tag] : undefined;
    if (end !== undefined) pattern.lastIndex = skipTo(end, source, pattern.lastIndex);
    // Inside of {% liquid %} every line is a tag.
    const lines = tag === 'liquid' ? rest.split('\n') : [`${tag}${rest}`];
    for (const line of lines) {
      const groups = naming.exec(line)?.groups;
      const name = groups?.['double'] ?? groups?.['single'];
      if (name !== undefined) found.push({ name, ...positionOf(source, match.index) });
    }
  }
  return found;
}

function skipTo(end: RegExp, source: string, from: number): number {
  const pattern = new RegExp(end);
  pattern.lastIndex = from;
  return pattern.exec(source) === null ? source.length : pattern.lastIndex;
}

function positionOf(source: string, offset: number): { line: number; column: number } {
  const before = source.slice(0, offset);
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') };
}
