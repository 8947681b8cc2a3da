// Writes what is made from the code: the tables of docs/reference.md and the JSON Schemas in config/.
import { readFileSync, writeFileSync } from 'node:fs';
import { campaignSchema } from '../src/config/campaign_schema.ts';
import { configSchema } from '../src/config/config_schema.ts';
import { describeKeys, tableMarks, writeJsonSchema } from '../src/config/describe.ts';
import { describeApi } from '../src/control/openapi.ts';
import { verdictTable } from '../src/mail/verdict_table.ts';
import { metricsTable } from '../src/metrics/definitions.ts';

const root = new URL('../', import.meta.url);

/** Everything that is generated, by the path of its file. The tests hold the files to it. */
export function generateReference(): Map<string, string> {
  const reference = readFileSync(new URL('docs/reference.md', root), 'utf8');
  const withKeys = replaceBetween(
    reference,
    tableMarks.begin,
    tableMarks.end,
    describeKeys(configSchema, campaignSchema),
  );
  const withMetrics = replaceSection(withKeys, 'metrics', metricsTable());
  return new Map([
    ['docs/reference.md', replaceSection(withMetrics, 'verdicts', verdictTable())],
    ['docs/openapi.json', `${JSON.stringify(describeApi('1'), undefined, 2)}\n`],
    ['config/posthaste.schema.json', writeJsonSchema(configSchema, 'Posthaste configuration')],
    ['config/campaign.schema.json', writeJsonSchema(campaignSchema, 'Posthaste campaign')],
  ]);
}

/** Replaces what stands between the marks of a section. */
function replaceSection(text: string, name: string, table: string): string {
  const begin = `<!-- ${name}:begin -->`;
  const end = `<!-- ${name}:end -->`;
  return replaceBetween(text, begin, end, `${begin}\n${table}${end}`);
}

/** Replaces what stands from one mark to the other, both included. */
function replaceBetween(text: string, begin: string, end: string, replacement: string): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from === -1 || to < from) throw new Error(`docs/reference.md has lost its marks ${begin} and ${end}`);
  return text.slice(0, from) + replacement + text.slice(to + end.length);
}

if (import.meta.main) {
  for (const [path, content] of generateReference()) writeFileSync(new URL(path, root), content);
}
