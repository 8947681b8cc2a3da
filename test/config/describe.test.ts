// What is generated of the schemas is what they are: JSON Schemas, tables, and a sentence for every key.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type * as z from 'zod';
import { campaignSchema } from '../../src/config/campaign_schema.ts';
import { configSchema } from '../../src/config/config_schema.ts';
import { describeKeys, tableMarks, writeJsonSchema } from '../../src/config/describe.ts';
import { entryOf, kindOf, rowOf, shapeOf } from '../../src/config/key.ts';
import { relaySchema } from '../../src/config/relay_schema.ts';

const root = new URL('../../', import.meta.url);

function read(name: string): string {
  return readFileSync(new URL(name, root), 'utf8');
}

const hint = 'run: node src/config/write_schemas.ts';

test('the JSON Schema of the configuration is the one that its schema makes', () => {
  assert.equal(
    read('config/posthaste.schema.json'),
    writeJsonSchema(configSchema, 'Posthaste configuration'),
    hint,
  );
});

test('the JSON Schema of a campaign is the one that its schema makes', () => {
  assert.equal(
    read('config/campaign.schema.json'),
    writeJsonSchema(campaignSchema, 'Posthaste campaign'),
    hint,
  );
});

test('the tables of README are the ones that the schemas make', (t) => {
  const text = existsSync(new URL('README.md', root)) ? read('README.md') : '';
  const begin = text.indexOf(tableMarks.begin);
  const end = text.indexOf(tableMarks.end);
  if (begin === -1 || end === -1) {
    t.skip('README.md has no marks for the tables of keys');
    return;
  }
  const written = text.slice(begin, end + tableMarks.end.length);
  assert.equal(written, describeKeys(configSchema, campaignSchema), hint);
});

test('every key has a sentence and says what it expects', () => {
  const silent = [...listKeys(configSchema, ''), ...listKeys(campaignSchema, '')].filter(
    ({ schema }) => rowOf(schema)?.sentence.endsWith('.') !== true || kindOf(schema) === undefined,
  );
  assert.deepEqual(
    silent.map(({ path }) => path),
    [],
  );
});

test('the tables have a row for every key but the ways to write a secret or a template', () => {
  const tables = describeKeys(configSchema, campaignSchema);
  const missing = [...listKeys(configSchema, ''), ...listKeys(campaignSchema, '')]
    .map(({ path }) => path)
    .filter((path) => !tables.includes(`| \`${path}\` |`));
  const ways = ['env', 'file', 'credential'];
  assert.deepEqual(missing, [
    ...ways.map((way) => `relays.NAME.auth.user.${way}`),
    ...ways.map((way) => `relays.NAME.auth.pass.${way}`),
    'text.file',
    'html.file',
  ]);
});

test('a relay knows the options that users bring from nodemailer', () => {
  const keys = Object.keys(relaySchema.shape);
  for (const name of [
    'host',
    'port',
    'secure',
    'auth',
    'requireTLS',
    'ignoreTLS',
    'tls',
    'name',
    'localAddress',
    'pool',
    'maxConnections',
    'maxMessages',
    'rateDelta',
    'rateLimit',
    'connectionTimeout',
    'greetingTimeout',
    'socketTimeout',
  ]) {
    assert.ok(keys.includes(name), name);
  }
});

interface Key {
  readonly path: string;
  readonly schema: z.core.$ZodType;
}

function listKeys(schema: z.core.$ZodType, prefix: string): Key[] {
  const entry = entryOf(schema);
  if (entry !== undefined)
    return listKeys(entry, prefix === 'attachments' ? 'attachments[]' : `${prefix}.NAME`);
  const keys: Key[] = [];
  for (const [name, inner] of Object.entries(shapeOf(schema) ?? {})) {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    keys.push({ path, schema: inner }, ...listKeys(inner, path));
  }
  return keys;
}
