// What is written into a journal is what is read out of it after the process has gone.
import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { readJournals } from '../../src/journal/reader.ts';
import { JournalWriter } from '../../src/journal/writer.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import { makeReply } from '../../src/mail/reply.ts';
import { emptyTransactionTimes } from '../../src/mail/transaction_times.ts';
import { judgeReply } from '../../src/mail/verdict.ts';

const batch = { batchId: 7, campaignId: 1, attempt: 2 };

function open(
  context: TestContext,
  durability: 'process' | 'power' = 'process',
  times = emptyTransactionTimes(),
) {
  const directory = join(mkdtempSync(join(tmpdir(), 'posthaste-test-')), 'journal');
  const writer = new JournalWriter({ directory, run: 'a', writer: 0, durability }, times);
  context.after(() => {
    writer.close();
    rmSync(join(directory, '..'), { recursive: true });
  });
  return { directory, writer };
}

function outcomeOf(row: number, code: number, text: string): Outcome {
  const verdict = judgeReply('end', makeReply(code, text));
  return { row, kind: verdict.kind, at: 1000 + row, verdict };
}

test('outcomes come back whole; a row whose end was noted and nothing else is known to be in doubt', async (context) => {
  const { directory, writer } = open(context);
  const outcomes = [outcomeOf(1, 250, '2.0.0 queued as A1'), outcomeOf(2, 550, '5.1.1 no such user\nreally')];
  for (const row of [1, 2, 3]) writer.noteEnd(batch, row);
  await writer.commit();
  for (const outcome of outcomes) writer.noteOutcome(batch, outcome);
  await writer.commit();
  const found = readJournals(directory).batches.get(7);
  assert.deepEqual(found?.outcomes.get(1), outcomes[0]);
  assert.deepEqual(found?.outcomes.get(2), outcomes[1]);
  assert.deepEqual([...(found?.ended ?? [])], [1, 2, 3]);
  assert.deepEqual([found?.campaignId, found?.attempt, found?.isDamaged], [1, 2, false]);
});

test('what was noted and not committed is not there', async (context) => {
  const { directory, writer } = open(context);
  writer.noteEnd(batch, 1);
  assert.equal(readJournals(directory).batches.size, 0);
});

test('one commit is one write, however much was noted', async (context) => {
  const { directory, writer } = open(context);
  for (let row = 1; row <= 100; row += 1) writer.noteEnd(batch, row);
  await writer.commit();
  const [name = ''] = readdirSync(directory);
  assert.equal(readFileSync(join(directory, name), 'utf8').match(/^J1 /gm)?.length, 1);
});

test('a journal of many segments is read in order, and the oldest that a batch needs is known', async (context) => {
  const { directory, writer } = open(context);
  const long = 'x'.repeat(400);
  for (let row = 1; row <= 6000; row += 1) {
    writer.noteEnd(batch, row);
    writer.noteOutcome(batch, outcomeOf(row, 250, `2.0.0 ${long} ${row}`));
    await writer.commit();
  }
  assert.ok(readdirSync(directory).length >= 3);
  assert.equal(writer.oldestNeeded, 0);
  writer.endBatch(batch);
  assert.equal(writer.oldestNeeded, readdirSync(directory).length - 1);
  const found = readJournals(directory).batches.get(7);
  assert.equal(found?.outcomes.size, 6000);
  assert.match(found.outcomes.get(6000)?.verdict.text ?? '', / 6000$/);
});

test('a torn tail is told from a damaged middle, which puts the rows of its batches in doubt', async (context) => {
  const { directory, writer } = open(context);
  for (const row of [1, 2, 3]) {
    writer.noteEnd(batch, row);
    await writer.commit();
  }
  const path = join(directory, readdirSync(directory)[0] ?? '');
  appendFileSync(path, 'J1 100 12345678\nE 7');
  const torn = readJournals(directory).segments[0];
  assert.deepEqual([torn?.tornBytes, torn?.damagedAt], [19, []]);

  const bytes = readFileSync(path);
  bytes[bytes.indexOf('E 7 2') + 4] = 0x39;
  writeFileSync(path, bytes);
  const damaged = readJournals(directory);
  assert.equal(damaged.segments[0]?.damagedAt.length, 1);
  assert.equal(damaged.batches.get(7)?.isDamaged, true);
});

test('another attempt at the same batch number is another batch', async (context) => {
  const { directory, writer } = open(context);
  writer.noteOutcome(batch, outcomeOf(1, 250, 'old'));
  writer.noteEnd({ ...batch, attempt: 3 }, 2);
  await writer.commit();
  const found = readJournals(directory).batches.get(7);
  assert.deepEqual([found?.attempt, found?.outcomes.size, found?.ended.size], [3, 0, 1]);
});

test('with durability power a commit is a promise, kept when it is on disk', async (context) => {
  const { directory, writer } = open(context, 'power');
  writer.noteEnd(batch, 1);
  const kept = writer.commit();
  assert.ok(kept instanceof Promise);
  await kept;
  assert.equal(readJournals(directory).batches.get(7)?.ended.has(1), true);
});

test('after a failed write nothing is claimed any more', async (context) => {
  const { directory, writer } = open(context);
  writeFileSync(join(directory, '..', 'journal'), 'a file where the directory should be');
  writer.noteEnd(batch, 1);
  assert.throws(() => writer.commit(), /ENOTDIR|EEXIST/);
  rmSync(directory);
  assert.throws(() => writer.commit(), /ENOTDIR|EEXIST/);
  assert.equal(existsSync(directory), false);
});

test('damage in one block leaves what other blocks say of the batch its meaning', async (context) => {
  const { directory, writer } = open(context);
  writer.noteEnd(batch, 1);
  await writer.commit();
  writer.noteEnd(batch, 2);
  writer.noteOutcome(batch, outcomeOf(2, 250, '2.0.0 queued'));
  await writer.commit();
  const path = join(directory, readdirSync(directory)[0] ?? '');
  const bytes = readFileSync(path);
  bytes[bytes.indexOf('E 7 1') + 4] = 0x39;
  writeFileSync(path, bytes);
  const found = readJournals(directory).batches.get(7);
  assert.deepEqual([found?.isDamaged, found?.outcomes.get(2)?.kind], [true, 'accepted']);
});

for (const durability of ['process', 'power'] as const) {
  test(`each commit that has something to write is timed once (${durability})`, async (context) => {
    const times = emptyTransactionTimes();
    const { writer } = open(context, durability, times);
    const count = (): number => times.counts.reduce((sum, one) => sum + one, 0);
    await writer.commit();
    assert.equal(count(), 0);
    for (let row = 1; row <= 3; row += 1) writer.noteEnd(batch, row);
    await writer.commit();
    assert.equal(count(), 1);
    writer.noteEnd(batch, 4);
    await writer.commit();
    assert.equal(count(), 2);
    assert.ok(times.sumSeconds > 0);
  });
}
