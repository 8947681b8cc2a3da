// What editors and README say about the keys: JSON Schemas and Markdown tables, made of the schemas themselves.
import * as z from 'zod';
import { defaultOf, entryOf, expectationOf, kindOf, nameSchemaOf, rowOf, shapeOf } from './key.ts';

/** Marks of the part of README.md that `describeKeys` writes. */
export const tableMarks = { begin: '<!-- config:begin -->', end: '<!-- config:end -->' } as const;

const widest = 110;

/** A JSON Schema (draft 7) for editors, as the text of a file. */
export function writeJsonSchema(schema: z.ZodType, title: string): string {
  const json = z.toJSONSchema(schema, {
    target: 'draft-07',
    io: 'input',
    reused: 'inline',
    override: ({ zodSchema, jsonSchema }) => {
      const row = rowOf(zodSchema);
      if (row !== undefined) jsonSchema.description = describeInWords(zodSchema, row.sentence, row.default);
    },
  });
  return `${printJson({ title, ...json }, 0, 0)}\n`;
}

/** Markdown tables of all keys of the configuration and of a campaign, with the marks around them. */
export function describeKeys(configuration: z.ZodType, campaign: z.ZodType): string {
  const parts = [
    tableMarks.begin,
    '#### Configuration file',
    table(configuration),
    '#### Campaign file',
    table(campaign),
    tableMarks.end,
  ];
  return parts.join('\n\n');
}

function table(schema: z.ZodType): string {
  return ['| key | value | default | meaning |', '|---|---|---|---|', ...listRows(schema, '')].join('\n');
}

/** A row for every key. What a key's own words describe in full is not opened up. */
function listRows(schema: z.core.$ZodType, prefix: string): string[] {
  if (expectationOf(schema) !== undefined) return [];
  const entry = entryOf(schema);
  if (entry !== undefined) {
    return listRows(entry, nameSchemaOf(schema) === undefined ? `${prefix}[]` : `${prefix}.NAME`);
  }
  const lines: string[] = [];
  for (const [name, inner] of Object.entries(shapeOf(schema) ?? {})) {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const row = rowOf(inner);
    const cells = [`\`${path}\``, kindOf(inner) ?? '', defaultText(inner, row?.default), row?.sentence ?? ''];
    lines.push(`| ${cells.map(escapeCell).join(' | ')} |`, ...listRows(inner, path));
  }
  return lines;
}

function defaultText(schema: z.core.$ZodType, words: string | undefined): string {
  if (words !== undefined) return words;
  if (schema._zod.optin === undefined) return '(required)';
  const value = defaultOf(schema);
  if (value === undefined || typeof value === 'object') return '';
  return `\`${JSON.stringify(value).replaceAll('"', '')}\``;
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function describeInWords(schema: z.core.$ZodType, sentence: string, words: string | undefined): string {
  const expected = expectationOf(schema);
  const type = expected === undefined ? '' : ` Value: ${expected}.`;
  return `${sentence}${type}${words === undefined ? '' : ` Default: ${words}.`}`;
}

/** JSON as the formatter has it: lists of plain values in one line where they fit. */
function printJson(value: unknown, depth: number, used: number): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const outer = '  '.repeat(depth);
  const inner = '  '.repeat(depth + 1);
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => printJson(item, depth + 1, 0));
    const line = `[${items.join(', ')}]`;
    const isPlain = value.every((item) => typeof item !== 'object');
    if (isPlain && used + line.length <= widest) return line;
    return `[\n${items.map((item) => inner + item).join(',\n')}\n${outer}]`;
  }
  const entries = Object.entries(value).map(([name, item]) => {
    const start = `${inner}${JSON.stringify(name)}: `;
    return start + printJson(item, depth + 1, start.length + 1);
  });
  return entries.length === 0 ? '{}' : `{\n${entries.join(',\n')}\n${outer}}`;
}
