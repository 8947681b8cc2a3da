// Whose end goes out was written down before, by one commit a turn; and what was not written down is not sent.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WriteTurn } from '../../src/smtp/write_turn.ts';

function openTurn(commit: () => Promise<void> | undefined) {
  const steps: string[] = [];
  const turn = new WriteTurn<string>(
    {
      noteEnd: (end) => void steps.push(`note ${end}`),
      commit: () => {
        steps.push('commit');
        return commit();
      },
      failed: () => {},
    },
    () => void steps.push('failed'),
  );
  const writerOf = (name: string) => ({
    announce: () => turn.noteEnd(name),
    write: () => void steps.push(`write ${name}`),
  });
  return { steps, turn, writerOf };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('all that is to be written in a turn is noted, committed once, and then written', async () => {
  const { steps, turn, writerOf } = openTurn(() => undefined);
  turn.add(writerOf('a'));
  turn.add(writerOf('b'));
  await nextTurn();
  assert.deepEqual(steps, ['note a', 'note b', 'commit', 'write a', 'write b']);
});

test('while a commit is awaited nothing is written, and who comes meanwhile waits for the next one', async () => {
  const kept = Promise.withResolvers<void>();
  const { steps, turn, writerOf } = openTurn(() => kept.promise);
  turn.add(writerOf('a'));
  await nextTurn();
  turn.add(writerOf('b'));
  await nextTurn();
  assert.deepEqual(steps, ['note a', 'commit']);
  kept.resolve();
  await nextTurn();
  await nextTurn();
  assert.deepEqual(steps, ['note a', 'commit', 'write a', 'note b', 'commit', 'write b']);
});

test('after a commit that failed nothing is written any more', async () => {
  for (const commit of [() => Promise.reject(new Error('EIO')), () => assert.fail('ENOSPC')]) {
    const { steps, turn, writerOf } = openTurn(commit);
    turn.add(writerOf('a'));
    await nextTurn();
    await nextTurn();
    turn.add(writerOf('b'));
    await nextTurn();
    assert.deepEqual(steps, ['note a', 'commit', 'failed']);
  }
});

test('an outcome is kept in its turn, though nobody has anything to write', async () => {
  const { steps, turn } = openTurn(() => undefined);
  turn.keep();
  await nextTurn();
  assert.deepEqual(steps, ['commit']);
});
