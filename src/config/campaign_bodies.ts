// What the bodies of a campaign need beside their templates: MJML's files, the invitation, images that they show.
import { dirname, extname, join, normalize } from 'node:path';
import type { BodyWork, Calendar, Campaign, MjmlFiles, TemplateSource } from '../mail/campaign.ts';
import { calendarMethods } from './campaign_schema.ts';
import { readNamed, tell, type Reading } from './reading.ts';
import { suggestWord } from './suggest.ts';
import { decodeUtf8 } from './text_file.ts';

const mostBytes = 8 * 1_048_576;
/** Of one campaign; a circle of files that include each other ends here, too. */
const mostIncludes = 100;

/** The HTML of a campaign or variant. */
interface HtmlBody {
  readonly html: TemplateSource | undefined;
  /** As it stands in the campaign file. */
  readonly written: string | { readonly file: string } | undefined;
  readonly makesText: boolean;
}

/** What is to be done with the bodies before anything is sent; undefined for nothing. */
export function readBodyWork(reading: Reading, { html, written, makesText }: HtmlBody): BodyWork | undefined {
  if (html === undefined) return undefined;
  const isMjml = typeof written === 'object' && extname(written.file).toLowerCase() === '.mjml';
  const work = {
    makesText,
    inlinesCss: reading.written.css === 'inline',
    mjml: isMjml ? readMjml(reading, written.file, html) : undefined,
  };
  return work.makesText || work.inlinesCss || work.mjml !== undefined ? work : undefined;
}

/** Reads what an MJML file includes, and what that includes. */
function readMjml(reading: Reading, file: string, html: TemplateSource): MjmlFiles {
  const path = normalize(file);
  const includes = new Map<string, string>();
  const open = [{ path, source: html.source, file: html.file }];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    for (const { target, place } of findIncludes(one.source)) {
      const inner = join(dirname(one.path), target);
      if (includes.has(inner) || inner === path) continue;
      const read = readNamed(reading, inner, mostBytes);
      const source = read.kind === 'read' ? decodeUtf8(read.bytes) : undefined;
      if (source === undefined || includes.size >= mostIncludes) {
        const what =
          read.kind === 'problem' ? read.what : 'cannot be included: it is not UTF-8, or there are too many';
        const missingInput = read.kind === 'problem' && read.isMissing;
        reading.problems.push({
          place: { file: one.file, ...place },
          what: `the file of mj-include ${what}`,
          missingInput,
        });
        continue;
      }
      includes.set(inner, source);
      open.push({ path: inner, source, file: join(dirname(reading.path), inner) });
    }
  }
  const sorted = [...includes].sort(([a], [b]) => (a < b ? -1 : 1));
  return { path, includes: sorted.map(([at, source]) => ({ path: at, source })) };
}

function findIncludes(source: string): { target: string; place: { line: number; column: number } }[] {
  const pattern = /<mj-include\b[^>]*?\bpath\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
  return [...source.matchAll(pattern)].map((match) => ({
    target: match[1] ?? match[2] ?? '',
    place: positionOf(source, match.index),
  }));
}

/** Reads the invitation. Its METHOD must be the one that the part's type names (RFC 6047 §2.4). */
export function readCalendar(reading: Reading): Calendar | undefined {
  const { calendar } = reading.written;
  if (calendar === undefined) return undefined;
  const read = readNamed(reading, calendar.file, mostBytes);
  if (read.kind === 'problem') {
    tell(reading, ['calendar', 'file'], { what: read.what, missingInput: read.isMissing });
    return undefined;
  }
  const source = decodeUtf8(read.bytes);
  if (source === undefined || !/^BEGIN:VCALENDAR\s*$/im.test(source))
    tell(reading, ['calendar', 'file'], { what: 'is no iCalendar text', expected: 'a line BEGIN:VCALENDAR' });
  const found = /^METHOD:([A-Z]+)\s*$/im.exec(source ?? '')?.[1]?.toUpperCase();
  const ofFile = calendarMethods.find((one) => one === found);
  if (ofFile === undefined || (calendar.method !== undefined && calendar.method !== ofFile))
    tell(reading, ['calendar', 'file'], {
      what: 'and the invitation disagree about the method',
      expected: `a line METHOD:${calendar.method ?? 'REQUEST'} in the file`,
    });
  return {
    source: { file: read.shownPath, line: 1, source: source ?? '' },
    method: ofFile ?? 'PUBLISH',
    filename: calendar.attach ? calendar.filename : undefined,
  };
}

/** The files that MJML includes, named as people know them. */
export function listIncludes({ path }: Reading, work: BodyWork | undefined): TemplateSource[] {
  return (work?.mjml?.includes ?? []).map((one) => ({
    file: join(dirname(path), one.path),
    line: 1,
    source: one.source,
  }));
}

/** Every image that HTML takes from the message must be in it. */
export function checkContentIds(reading: Reading, campaign: Campaign): void {
  const known = reading.written.attachments.flatMap(({ cid }) => (cid === undefined ? [] : [cid]));
  const bodies = [campaign, ...(campaign.variants ?? [])];
  const sources = [
    ...bodies.map(({ html }) => html).filter((html) => html !== undefined),
    ...bodies.flatMap(({ bodyWork }) => listIncludes(reading, bodyWork)),
    ...Object.values(campaign.partials ?? {}),
  ];
  for (const source of sources) checkReferences(reading, source, known);
}

/** Attributes and style sheets; what a template prints there is not known before there are recipients. */
const reference = /(?:=\s*["']?|\(\s*["']?)cid:([^\s"'<>()]+)/gi;

function checkReferences(
  reading: Reading,
  { file, line, source }: TemplateSource,
  known: readonly string[],
): void {
  for (const match of source.matchAll(reference)) {
    const written = match[1] ?? '';
    if (/\{\{|\{%/.test(written) || known.includes(unescapeId(written))) continue;
    const position = positionOf(source, match.index + match[0].length - written.length);
    reading.problems.push({
      place: { file, line: line + position.line - 1, column: position.column },
      what: `no attachment has the cid ${JSON.stringify(written.slice(0, 100))}`,
      expected: known.length === 0 ? 'an attachment with that cid' : undefined,
      suggestion: suggestWord(written, known),
    });
  }
}

/** RFC 2392 §2: a Content-ID in a URL is percent-encoded. */
function unescapeId(written: string): string {
  try {
    return decodeURIComponent(written.replaceAll('&amp;', '&'));
  } catch {
    return written;
  }
}

function positionOf(source: string, at: number): { line: number; column: number } {
  const before = source.slice(0, at);
  return { line: before.split('\n').length, column: at - before.lastIndexOf('\n') };
}
