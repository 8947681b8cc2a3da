// What the documents say is what the code does.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseDocument } from 'yaml';
import { generateReference } from '../../docs/write_reference.ts';
import { ExitCode } from '../../src/base/error.ts';

const root = new URL('../../', import.meta.url);

function read(name: string): string {
  return readFileSync(new URL(name, root), 'utf8');
}

for (const [path, content] of generateReference()) {
  test(`${path} is what the code makes it`, () => {
    assert.equal(read(path), content, 'run: npm run docs');
  });
}

test('README lists every exit code, and no other', () => {
  const listed = [...read('README.md').matchAll(/^\| `(\d+)` \|/gm)].map((match) => Number(match[1]));
  assert.deepEqual(listed, Object.values(ExitCode));
});

test('every YAML example of the README is YAML', () => {
  const blocks = [...read('README.md').matchAll(/^```yaml\n(.*?)^```/gms)].map((match) => match[1] ?? '');
  assert.ok(blocks.length >= 4);
  for (const block of blocks) assert.deepEqual(parseDocument(block).errors, [], block);
});

test('every path that the documents name is there', () => {
  for (const document of [
    'ARCHITECTURE.md',
    'README.md',
    'CONTRIBUTING.md',
    'docs/decisions.md',
    'docs/operations.md',
    'docs/runbook.md',
  ]) {
    const paths = [...read(document).matchAll(/`((?:src|test|bench|config|docs|\.ci)\/[\w./-]*)`/g)].map(
      (match) => match[1] ?? '',
    );
    for (const path of paths) assert.ok(exists(path), `${document} names ${path}`);
  }
});

function exists(path: string): boolean {
  try {
    readFileSync(new URL(path, root));
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EISDIR';
  }
}
