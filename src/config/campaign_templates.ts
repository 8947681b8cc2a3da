// A campaign's templates: its own, those of its variants, the partials that they name, and what they print besides columns.
import type { Campaign, TemplateSource, Variant } from '../mail/campaign.ts';
import type { Cell } from '../mail/recipient.ts';
import { readBodyWork } from './campaign_bodies.ts';
import type { WrittenCampaign } from './campaign_schema.ts';
import type { Path } from './problem.ts';
import { readNamed, tell, type Reading } from './reading.ts';
import { decodeUtf8 } from './text_file.ts';

/** A template as it is written, or where it is. */
export type WrittenPart = string | { readonly file: string };

const mostTemplateBytes = 8 * 1_048_576;

/** Reads a template that stands in the campaign file, or the file that it names. */
export function readTemplate(
  reading: Reading,
  place: Path,
  written: WrittenPart | undefined,
): TemplateSource | undefined {
  if (written === undefined) return undefined;
  if (typeof written === 'string') {
    return { file: reading.path, line: reading.file.contentLine(place), source: written };
  }
  const read = readNamed(reading, written.file, mostTemplateBytes);
  const filePlace: Path = [...place, 'file'];
  if (read.kind === 'problem') {
    tell(reading, filePlace, { what: read.what, missingInput: read.isMissing });
    return undefined;
  }
  const source = decodeUtf8(read.bytes);
  if (source === undefined) tell(reading, filePlace, { what: 'is not UTF-8 text' });
  return { file: read.shownPath, line: 1, source: source ?? '' };
}

/** Reads a text part, unless it is left out. */
export function readText(
  reading: Reading,
  place: Path,
  written: WrittenCampaign['text'],
): TemplateSource | undefined {
  return written === undefined || isLeftOut(written) ? undefined : readTemplate(reading, place, written);
}

/** `text: none`; YAML reads "none" as text, and "false" as what it says. */
export function isLeftOut(written: WrittenCampaign['text']): written is false | 'none' {
  return written === false || written === 'none';
}

/** Reads a template of one line; YAML's block scalars end with a newline, which is dropped. */
export function readLineTemplate(
  reading: Reading,
  place: Path,
  written: string | undefined,
): TemplateSource | undefined {
  return readTemplate(reading, place, written?.replace(/\r?\n$/, ''));
}

type TemplateExtras = Pick<Campaign, 'preheader' | 'data' | 'locale' | 'timezone' | 'trusted' | 'variants'>;

/** Reads what a campaign has for its templates beside subject and parts. Keys that are not there stay absent. */
export function readTemplateExtras(reading: Reading): TemplateExtras {
  const { written } = reading;
  const hasHtml = written.html !== undefined || written.variants?.some(({ html }) => html !== undefined);
  if (written.preheader !== undefined && hasHtml !== true) {
    tell(reading, ['preheader'], {
      what: 'stands in the HTML part, and there is none',
      expected: '`html`, too',
    });
  }
  if (written.css !== undefined && hasHtml !== true)
    tell(reading, ['css'], { what: 'is about html, which is missing' });
  return {
    preheader: readLineTemplate(reading, ['preheader'], written.preheader),
    data: written.data && readData(reading, written.data),
    locale: written.locale,
    timezone: written.timezone,
    trusted: written.trusted,
    variants: written.variants && readVariants(reading, written.variants),
  };
}

function readVariants(reading: Reading, written: NonNullable<WrittenCampaign['variants']>): Variant[] {
  const names = new Set<string>();
  return written.map((one, index) => {
    const at = (key: string): Path => ['variants', index, key];
    if (names.has(one.name)) tell(reading, at('name'), { what: 'is the name of a variant above, too' });
    names.add(one.name);
    const html = readTemplate(reading, at('html'), one.html);
    // The campaign's own text stands for all that have none.
    const makesText = (one.text ?? reading.written.text) === undefined;
    return {
      name: one.name,
      share: one.share,
      subject: readLineTemplate(reading, at('subject'), one.subject),
      text: readText(reading, at('text'), one.text),
      leavesOutText: one.text !== undefined && isLeftOut(one.text) ? true : undefined,
      html,
      bodyWork: readBodyWork(reading, { html, written: one.html, makesText }),
      preheader: readLineTemplate(reading, at('preheader'), one.preheader),
    };
  });
}

function readData(reading: Reading, written: Readonly<Record<string, unknown>>): Record<string, Cell> {
  const cells: [string, Cell][] = [];
  for (const [name, value] of Object.entries(written)) {
    if (isCell(value)) cells.push([name, value]);
    else {
      tell(reading, ['data', name], {
        what: 'cannot be used',
        expected: 'text, finite numbers, true, false, null, lists and maps of these',
      });
    }
  }
  return Object.fromEntries(cells);
}

function isCell(value: unknown): value is Cell {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value === 'object' && Object.values(value).every(isCell);
}

/** What templates depend on beside their own text, for a digest: undefined where a campaign has none of it. */
export function describeExtras(campaign: Campaign): unknown {
  const { preheader, data, locale, timezone, trusted, variants, partials } = campaign;
  const extras = {
    preheader: preheader?.source,
    data,
    locale,
    timezone,
    trusted,
    variants: variants?.map(({ name, share, subject, text, html, preheader: line, ...more }) => {
      const texts = [subject, text, html, line].map((one) => one?.source ?? null);
      return [name, share, texts, more.leavesOutText ?? null, more.bodyWork ?? null];
    }),
    partials: partials && Object.entries(partials).map(([name, { source }]) => [name, source]),
  };
  return Object.values(extras).some((extra) => extra !== undefined) ? extras : undefined;
}
