// A list that is read twice: its digest first, then its rows, also where it comes only once.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { keepList } from '../../src/intake/keep_list.ts';

const text = 'email\na@example.com\n'.repeat(9000);
const digest = createHash('sha256').update(text).digest('hex');
const never = new AbortController().signal;

async function makeFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'posthaste-keep-'));
  context.after(() => rm(folder, { recursive: true }));
  return folder;
}

async function readAll(source: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('what comes through a pipe is read as often as is wanted, decompressed once, from a copy that has no name', async (context) => {
  const folder = await makeFolder(context);
  // A list that is itself gzip, within gzip: one layer is taken off, no more.
  for (const content of [text, gzipSync(text).toString('latin1')]) {
    const kept = await keepList('-', folder, never, Readable.from([gzipSync(Buffer.from(content))]));
    assert.equal(kept.digest, createHash('sha256').update(content).digest('hex'));
    assert.deepEqual(await readdir(folder), []);
    for (let time = 0; time < 2; time++) {
      const source = await kept.open();
      assert.deepEqual([source.name, source.isPipe], ['standard input', true]);
      assert.equal(await readAll(source), content);
    }
    await kept.close();
  }
});

test('a file is not copied', async (context) => {
  const folder = await makeFolder(context);
  await writeFile(join(folder, 'list.csv'), text);
  const kept = await keepList(join(folder, 'list.csv'), '/nowhere', never);
  assert.equal(kept.digest, digest);
  const source = await kept.open();
  assert.equal(source.isPipe, false);
  assert.equal(await readAll(source), text);
  await kept.close();
});

test('where there is no room for a copy, the error says so and what needs none', async () => {
  await assert.rejects(keepList('-', '/nowhere', never, Readable.from([Buffer.from(text)])), {
    code: 'ERR_LIST_COPY',
    exitCode: 74,
    hint: /as a file/,
  });
});

test('reading for the digest ends when it is told to', async (context) => {
  const folder = await makeFolder(context);
  const told = AbortSignal.abort(new Error('stop'));
  await assert.rejects(keepList('-', folder, told, Readable.from([Buffer.from(text)])), /stop/);
  await writeFile(join(folder, 'list.csv'), text);
  await assert.rejects(keepList(join(folder, 'list.csv'), folder, told), /stop/);
});
