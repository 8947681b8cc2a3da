// The DKIM section of README: its commands make keys that sign, and records that verify.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load_config.ts';
import { createSigner } from '../../src/sign/signer.ts';
import { makeFolder } from '../config/problems.ts';
import { skipUnlessInstalled } from '../peers/required.ts';
import { verifyByMailauth } from './mailauth.ts';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const [, section = ''] = /\n## DKIM\n(.*?)\n## /s.exec(readme) ?? [];
const message = 'From: hello@example.com\r\nTo: a@example.net\r\nSubject: Hello\r\n\r\nHello.\r\n';

test(
  'the commands of README make keys and records that verify',
  { skip: skipUnlessInstalled('openssl') },
  async (t) => {
    const folder = makeFolder(t, {});
    const [makeKeys = '', printRecords = ''] = blocksOf('sh');
    const [config = ''] = blocksOf('yaml');
    run(makeKeys, folder);
    const printed = run(printRecords, folder).trimEnd().split('\n');
    const names = [...section.matchAll(/`(\w+\._domainkey\.example\.com)`/g)].map(([, name]) => name ?? '');
    const records = new Map(names.map((name, index) => [name, printed[index] ?? '']));
    writeFileSync(join(folder, 'posthaste.yaml'), config);
    const { dkim, warnings } = loadConfig(join(folder, 'posthaste.yaml'), {});
    assert.deepEqual(warnings, []);
    const signed = createSigner(dkim).sign(message, Date.now()) + message;
    assert.deepEqual(await verifyByMailauth(signed, records), ['pass', 'pass']);
  },
);

function blocksOf(language: string): string[] {
  return [...section.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map(
    ([, block]) => block ?? '',
  );
}

function run(commands: string, folder: string): string {
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', commands], { cwd: folder, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
}
