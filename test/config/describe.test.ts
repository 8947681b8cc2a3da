// What is generated of the schemas is what they are: JSON Schemas, tables, and a sentence for every key.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type * as z from 'zod';
import { campaignSchema } from '../../src/config/campaign_schema.ts';
import { configSchema } from '../../src/config/config_schema.ts';
import { describeKeys } from '../../src/config/describe.ts';
import { entryOf, kindOf, nameSchemaOf, rowOf, shapeOf } from '../../src/config/key.ts';
import { relaySchema } from '../../src/config/relay_schema.ts';

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
  const secrets = [
    ...['user', 'pass', 'clientId', 'clientSecret', 'refreshToken', 'accessToken'].map(
      (name) => `auth.${name}`,
    ),
    'proxy',
    'tls.key',
    'tls.passphrase',
  ];
  assert.deepEqual(missing.sort(), [
    ...['tls.key', 'token'].flatMap((name) => ways.map((way) => `control.${name}.${way}`)).sort(),
    ...ways.map((way) => `dkim[].key.${way}`).sort(),
    'html.file',
    ...secrets.flatMap((secret) => ways.map((way) => `relays.NAME.${secret}.${way}`)).sort(),
    'text.file',
    'variants[].html.file',
    'variants[].text.file',
    ...ways.map((way) => `verp.secret.${way}`).sort(),
  ]);
});

test('a relay knows the options that users bring from nodemailer', () => {
  const keys = Object.keys(relaySchema.shape);
  for (const name of [
    'host',
    'port',
    'secure',
    'service',
    'proxy',
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
    return listKeys(entry, nameSchemaOf(schema) === undefined ? `${prefix}[]` : `${prefix}.NAME`);
  const keys: Key[] = [];
  for (const [name, inner] of Object.entries(shapeOf(schema) ?? {})) {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    keys.push({ path, schema: inner }, ...listKeys(inner, path));
  }
  return keys;
}
