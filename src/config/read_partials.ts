// Reads the partials and layouts that the templates of a campaign name, whatever the templates are for.
import type { Campaign, TemplateSource } from '../mail/campaign.ts';
import { listIncludes } from './campaign_bodies.ts';
import { findPartials, type NamedPartial } from './partials.ts';
import type { Problem } from './problem.ts';
import { readNamed, type Reading } from './reading.ts';
import { decodeUtf8 } from './text_file.ts';

const mostTemplateBytes = 8 * 1_048_576;
const mostPartials = 200;

/** Partials name partials: each file is read once, by the name that templates use. */
export function readPartials(reading: Reading, campaign: Campaign): Campaign['partials'] {
  const partials = new Map<string, TemplateSource>();
  const waiting = listTemplates(reading, campaign);
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
        return undefined;
      }
      waiting.push(partial);
    }
  }
  return partials.size === 0 ? undefined : Object.fromEntries(partials);
}

/** Everything that Liquid will read. */
function listTemplates(reading: Reading, campaign: Campaign): TemplateSource[] {
  const { attachments, rowAttachments = [], headers, unsubscribe, variants = [] } = campaign;
  const { to, replyTo, feedbackId, subject, text, html, preheader, calendar } = campaign;
  const named = [...attachments, ...rowAttachments].map(({ filenameTemplate }) => filenameTemplate);
  const fields = headers.map(([, value]) => (value.source.includes('{{') ? value : undefined));
  const wordings = variants.flatMap((one) => [one.subject, one.text, one.html, one.preheader]);
  const includes = [campaign, ...variants].flatMap(({ bodyWork }) => listIncludes(reading, bodyWork));
  const own = [
    to,
    replyTo,
    feedbackId,
    unsubscribe?.url,
    unsubscribe?.mailto,
    subject,
    text,
    html,
    preheader,
  ];
  return [...own, ...fields, ...named, calendar?.source, ...wordings, ...includes].filter(
    (one) => one !== undefined,
  );
}

function readPartial(
  reading: Reading,
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
  const read = readNamed(reading, name, mostTemplateBytes);
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
  reading: Reading,
  template: TemplateSource,
  { name, line, column }: NamedPartial,
  problem: Omit<Problem, 'place'>,
): void {
  const place = { file: template.file, line: template.line + line - 1, column };
  reading.problems.push({ ...problem, place, what: `the partial "${name.slice(0, 200)}" ${problem.what}` });
}
