// The keys of a campaign file that templates depend on: one row each.
import * as z from 'zod';
import { isZone } from '../base/zone.ts';
import { expects, key } from './key.ts';
import { line, text } from './value.ts';

const path = 'the path of a file';

const fileSchema = () =>
  z.strictObject({ file: key(line(path), 'File with the template, relative to this file.') });

/** A template, or the file that it stands in. */
export const partSchema = () =>
  expects(z.union([z.string().min(1), fileSchema()]), 'a template, or { file: PATH }');

/** `none` is text for YAML, `false` is not; both leave the part out. */
export const textSchema = () =>
  expects(
    z.union([z.literal(false), z.string().min(1), fileSchema()]),
    'a template, { file: PATH }, or none',
  );

/** A template of one line. YAML's block scalars end with a newline, which is dropped. */
export const lineTemplate = () => text(isLineTemplate, 'text in one line');

const variantSchema = z.strictObject({
  name: key(text(isVariantName, 'letters, digits, "-", "_" and ".", at most 50'), 'Name in the results.'),
  share: key(
    expects(z.number().positive().max(1_000_000), 'a number above 0, at most 1000000'),
    'Weight among the shares of all variants: 1 and 1 are halves, as are 50 and 50.',
  ),
  subject: key(lineTemplate().optional(), { sentence: 'Its subject.', default: "the campaign's" }),
  text: key(textSchema().optional(), {
    sentence: 'Its plain text part; `none` leaves it out.',
    default: "the campaign's; made of `html` where only that is there",
  }),
  html: key(partSchema().optional(), { sentence: 'Its HTML part.', default: "the campaign's" }),
  preheader: key(lineTemplate().optional(), { sentence: 'Its preheader.', default: "the campaign's" }),
});

/** Spread into the campaign's schema. */
export const templateKeys = {
  preheader: key(
    lineTemplate().optional(),
    'Liquid template of the line that inboxes show after the subject; hidden at the start of the HTML part.',
  ),
  data: key(
    z.record(dataName(), z.unknown()).optional(),
    'Values that all recipients share; templates use the names like columns.',
  ),
  locale: key(text(isLocale, 'a language tag such as de or pt-BR').optional(), {
    sentence: 'Language of numbers, money, plurals and dates in filters (BCP 47).',
    default: '`en`',
  }),
  timezone: key(text(isZone, 'an IANA timezone such as Europe/Berlin').optional(), {
    sentence: 'Timezone in which filters read dates without one, and write all.',
    default: '`UTC`',
  }),
  trusted: key(
    z.array(line('the name of a column')).max(100).optional(),
    'Columns with HTML that `{{ column | raw }}` prints as it is; only such that no recipient can write.',
  ),
  variants: key(
    z.array(variantSchema).min(1).max(50).optional(),
    'Wordings to compare; each row gets one, always the same, and the results say which.',
  ),
};

function dataName() {
  return expects(
    z
      .string()
      .regex(/^[\p{L}_][\p{L}\p{M}\p{N}_-]{0,99}$/u)
      .refine((name) => !liquidNames.has(name)),
    'a name that Liquid can read: letters, digits, "_" and "-", with a letter first, and no word of its own',
  );
}

const liquidNames = new Set([
  'true',
  'false',
  'nil',
  'null',
  'empty',
  'blank',
  'forloop',
  'tablerowloop',
  'block',
  'continue',
]);

function isLineTemplate(value: string): boolean {
  return value.trim() !== '' && !/[\r\n\0]/.test(value.replace(/\r?\n$/, ''));
}

function isVariantName(value: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,49}$/.test(value);
}

function isLocale(value: string): boolean {
  try {
    return Intl.NumberFormat.supportedLocalesOf(value).length === 1;
  } catch {
    return false;
  }
}
