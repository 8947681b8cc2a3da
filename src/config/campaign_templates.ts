// A campaign's templates: its own, those of its variants, the partials that they name, and what they print besides columns.
import type { Campaign, TemplateSource, Variant } from '../mail/campaign.ts';
import type { Cell } from '../mail/recipient.ts';
import { readFromFolder } from './campaign_folder.ts';
import type { WrittenCampaign } from './campaign_schema.ts';
import { findPartials, type NamedPartial } from './partials.ts';
import { formatPath, type Path, type Problem } from './problem.ts';
import { decodeUtf8 } from './text_file.ts';
import type { YamlFile } from './yaml_file.ts';

/** The campaign file, as far as reading its templates needs it. */
export interface TemplateReading {
  readonly path: string;
  readonly file: YamlFile;
  readonly written: WrittenCampaign;
  readonly problems: Problem[];
}

type WrittenPart = string | { readonly file: string };

const mostTemplateBytes = 8 * 1_048_576;
const mostPartials = 200;

/** Reads a template that stands in the campaign file, or the file that it names. */
export function readTemplate(
  reading: TemplateReading,
  place: Path,
  written: WrittenPart | undefined,
): TemplateSource | undefined {
  if (written === undefined) return undefined;
  if (typeof written === 'string') {
    return { file: reading.path, line: reading.file.contentLine(place), source: written };
  }
  const read = readFromFolder(reading.path, written.file, mostTemplateBytes);
  const filePlace: Path = [...place, 'file'];
  if (read.kind === 'problem') {
    tell(reading, filePlace, { what: read.what, missingInput: read.isMissing });
    return undefined;
  }
  const source = decodeUtf8(read.bytes);
  if (source === undefined) tell(reading, filePlace, { what: 'is not UTF-8 text' });
  return { file: read.shownPath, line: 1, source: source ?? '' };
}

/** Reads a template of one line; YAML's block scalars end with a newline, which is dropped. */
export function readLineTemplate(
  reading: TemplateReading,
  place: Path,
  written: string | undefined,
): TemplateSource | undefined {
  return readTemplate(reading, place, written?.replace(/\r?\n$/, ''));
}

type TemplateExtras = Pick<
  Campaign,
  'preheader' | 'data' | 'locale' | 'timezone' | 'trusted' | 'variants' | 'partials'
>;

/** Reads what a campaign has for its templates beside subject and parts (`own`). Keys that are not there stay absent. */
export function readTemplateExtras(
  reading: TemplateReading,
  own: Pick<Campaign, 'subject' | 'text' | 'html'>,
): TemplateExtras {
  const { written } = reading;
  const preheader = readLineTemplate(reading, ['preheader'], written.preheader);
  const variants = written.variants && readVariants(reading, written.variants);
  const templates = [own, { preheader }, ...(variants ?? [])]
    .flatMap((one) => Object.values(one))
    .filter(isTemplate);
  const hasHtml = own.html !== undefined || variants?.some(({ html }) => html !== undefined) === true;
  if (preheader !== undefined && !hasHtml && written.html === undefined) {
    tell(reading, ['preheader'], {
      what: 'stands in the HTML part, and there is none',
      expected: '`html`, too',
    });
  }
  const partials = readPartials(reading, templates);
  return {
    preheader,
    data: written.data && readData(reading, written.data),
    locale: written.locale,
    timezone: written.timezone,
    trusted: written.trusted,
    variants,
    partials: Object.keys(partials).length === 0 ? undefined : partials,
  };
}

function isTemplate(value: unknown): value is TemplateSource {
  return typeof value === 'object' && value !== null && 'source' in value;
}

function readVariants(
  reading: TemplateReading,
  written: NonNullable<WrittenCampaign['variants']>,
): Variant[] {
  const names = new Set<string>();
  return written.map((one, index) => {
    const at = (key: string): Path => ['variants', index, key];
    if (names.has(one.name)) tell(reading, at('name'), { what: 'is the name of a variant above, too' });
    names.add(one.name);
    return {
      name: one.name,
      share: one.share,
      subject: readLineTemplate(reading, at('subject'), one.subject),
      text: readTemplate(reading, at('text'), one.text),
      html: readTemplate(reading, at('html'), one.html),
      preheader: readLineTemplate(reading, at('preheader'), one.preheader),
    };
  });
}

/** Partials name partials: each file is read once, by the name that templates use. */
function readPartials(
  reading: TemplateReading,
  templates: readonly TemplateSource[],
): Record<string, TemplateSource> {
  const partials = new Map<string, TemplateSource>();
  const waiting = [...templates];
  for (let template = waiting.pop(); template !== undefined; template = waiting.pop()) {
    for (const named of findPartials(template.source)) {
      if (partials.has(named.name)) continue;
      const partial = readPartial(reading, template, named);
      if (partial === undefined) continue;
      partials.set(named.name, partial);
      if (partials.size > mostPartials) {
        tellAt(reading, template, named, {
          what: `is one too many: a campaign has at most ${mostPartials} partials`,
        });
        return {};
      }
      waiting.push(partial);
    }
  }
  return Object.fromEntries(partials);
}

function readPartial(
  reading: TemplateReading,
  template: TemplateSource,
  named: NamedPartial,
): TemplateSource | undefined {
  const { name } = named;
  if (name === '' || /^\.{0,2}[/\\]|[{}\0]/.test(name)) {
    tellAt(reading, template, named, {
      what: 'cannot be read',
      expected: "a path from the campaign's folder, without ./, ../ and {{ }}",
    });
    return undefined;
  }
  const read = readFromFolder(reading.path, name, mostTemplateBytes);
  if (read.kind === 'problem') {
    tellAt(reading, template, named, { what: read.what, missingInput: read.isMissing });
    return undefined;
  }
  const source = decodeUtf8(read.bytes);
  if (source === undefined) tellAt(reading, template, named, { what: 'is not UTF-8 text' });
  return { file: read.shownPath, line: 1, source: source ?? '' };
}

/** `what` is a predicate; the partial is its subject. Paths are no secrets. */
function tellAt(
  reading: TemplateReading,
  template: TemplateSource,
  { name, line, column }: NamedPartial,
  problem: Omit<Problem, 'place'>,
): void {
  const place = { file: template.file, line: template.line + line - 1, column };
  reading.problems.push({ ...problem, place, what: `the partial "${name.slice(0, 200)}" ${problem.what}` });
}

function readData(
  reading: TemplateReading,
  written: Readonly<Record<string, unknown>>,
): Record<string, Cell> {
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

/** `what` is a predicate; the key's path is its subject. */
function tell(reading: TemplateReading, path: Path, problem: Omit<Problem, 'place'>): void {
  const place = reading.file.place(path, 'value');
  reading.problems.push({ ...problem, place, what: `${formatPath(path)} ${problem.what}` });
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
    variants: variants?.map(({ name, share, subject, text, html, preheader: line }) => {
      const texts = [subject, text, html, line].map((one) => one?.source ?? null);
      return [name, share, texts];
    }),
    partials: partials && Object.entries(partials).map(([name, { source }]) => [name, source]),
  };
  return Object.values(extras).some((extra) => extra !== undefined) ? extras : undefined;
}
