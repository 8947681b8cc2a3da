// Writes what is made of the schemas: config/*.schema.json and the tables of keys in README.md.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { campaignSchema } from './campaign_schema.ts';
import { configSchema } from './config_schema.ts';
import { describeKeys, tableMarks, writeJsonSchema } from './describe.ts';

const root = new URL('../../', import.meta.url);

writeFileSync(
  new URL('config/posthaste.schema.json', root),
  writeJsonSchema(configSchema, 'Posthaste configuration'),
);
writeFileSync(
  new URL('config/campaign.schema.json', root),
  writeJsonSchema(campaignSchema, 'Posthaste campaign'),
);

const readme = new URL('README.md', root);
if (existsSync(readme)) {
  const text = readFileSync(readme, 'utf8');
  const begin = text.indexOf(tableMarks.begin);
  const end = text.indexOf(tableMarks.end);
  if (begin !== -1 && end > begin) {
    const after = text.slice(end + tableMarks.end.length);
    writeFileSync(readme, text.slice(0, begin) + describeKeys(configSchema, campaignSchema) + after);
  }
}
