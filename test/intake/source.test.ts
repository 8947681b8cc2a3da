// Opens real files, plain and compressed, whole and broken, and standard input.
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { digestList, openSource } from '../../src/intake/source.ts';

let folder = '';
const text = Buffer.from(
  Array.from({ length: 40_000 }, (_, row) => `user${row}@example.com,${row * 7919}\n`).join(''),
);

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'posthaste-source-'));
});
after(() => rm(folder, { recursive: true }));

async function writeList(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

async function readAll(path: string, stdin?: Readable): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await openSource(path, stdin)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('compression shows in the bytes, not in the name', async () => {
  const plain = await writeList('plain.gz', text);
  const gzip = await writeList('gzip.csv', gzipSync(text));
  const zstd = await writeList('zstd.csv', zstdCompressSync(text));
  const members = await writeList(
    'members.csv',
    Buffer.concat([gzipSync(text.subarray(0, 999)), gzipSync(text.subarray(999))]),
  );
  for (const path of [plain, gzip, zstd, members]) assert.ok((await readAll(path)).equals(text), path);
});

test('a list has the same digest plain and compressed', async () => {
  const digests = [];
  for (const bytes of [text, gzipSync(text), zstdCompressSync(text)]) {
    digests.push(await digestList(await openSource(await writeList('digest', bytes))));
  }
  assert.match(digests[0] ?? '', /^[0-9a-f]{64}$/);
  assert.equal(new Set(digests).size, 1);
});

test('an empty and a very short list are read', async () => {
  for (const short of ['', 'a', 'abc']) {
    assert.equal((await readAll(await writeList('short', Buffer.from(short)))).toString(), short);
  }
});

test('standard input is read, byte by byte if it comes so', async () => {
  const bytes = gzipSync('a,b\n1,2\n');
  const stdin = Readable.from([...bytes].map((byte) => Buffer.from([byte])));
  assert.equal((await readAll('-', stdin)).toString(), 'a,b\n1,2\n');
  assert.equal((await openSource('-', Readable.from([]))).name, 'standard input');
});

test('a missing file, a directory and a file without permission are no input', async () => {
  await assert.rejects(openSource(join(folder, 'nothing')), { code: 'ERR_LIST_NOT_FOUND', exitCode: 66 });
  await assert.rejects(openSource(folder), {
    code: 'ERR_LIST_UNREADABLE',
    exitCode: 66,
    message: /directory/,
  });
  await assert.rejects(openSource(join(folder, 'plain.gz', 'x')), {
    code: 'ERR_LIST_UNREADABLE',
    exitCode: 66,
  });
});

test(
  'a file without permission is no input',
  { skip: process.getuid?.() === 0 ? 'root may read anything' : false },
  async () => {
    const path = await writeList('secret', text);
    await chmod(path, 0);
    await assert.rejects(openSource(path), {
      code: 'ERR_LIST_UNREADABLE',
      exitCode: 66,
      hint: /permissions/,
    });
  },
);

test('truncated and damaged compressed lists are bad data', async () => {
  const [gzip, zstd] = [gzipSync(text), zstdCompressSync(text)];
  const damaged = Buffer.from(gzip);
  damaged.fill(0xff, 5000, 5100);
  for (const bytes of [
    gzip.subarray(0, -20),
    gzip.subarray(0, 5),
    damaged,
    zstd.subarray(0, -20),
    zstd.subarray(0, 5),
  ]) {
    await assert.rejects(readAll(await writeList('broken', bytes)), {
      code: 'ERR_LIST_CORRUPT',
      exitCode: 65,
    });
  }
});

test('a spreadsheet is named as what it is', async () => {
  const path = await writeList('list.csv', Buffer.from('PK\u0003\u0004rest'));
  await assert.rejects(readAll(path), { code: 'ERR_LIST_FORMAT', exitCode: 65, hint: /CSV/ });
});

test('a read error in the middle is no input', async () => {
  const failing = Readable.from(yieldThenFail());
  await assert.rejects(readAll('-', failing), { code: 'ERR_LIST_UNREADABLE', exitCode: 66, message: /EIO/ });
});

test(
  'a source that is left early or never read keeps no file open',
  { skip: process.platform === 'linux' ? false : 'looks into /proc' },
  async () => {
    const paths = [await writeList('left', text), await writeList('left.gz', gzipSync(text))];
    for (const path of paths) {
      const chunks = (await openSource(path))[Symbol.asyncIterator]();
      await chunks.next();
      await chunks.return?.();
      (await openSource(path)).close();
      await waitUntilClosed(path);
    }
  },
);

/** Streams close their file after they say so; the wait is bounded by the test's patience. */
async function waitUntilClosed(path: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const targets = await Promise.all(
      (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    );
    if (!targets.includes(path)) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail(`${path} is still open`);
}

async function* yieldThenFail(): AsyncGenerator<Buffer, never> {
  yield await Promise.resolve(Buffer.from('a,b\n1,2\n'));
  throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
}
