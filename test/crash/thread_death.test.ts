// Threads that die in the middle: what they had sent is settled as their journals say, and others go on.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { openMailing } from './mailing.ts';

const preload = fileURLToPath(new URL('break_journal.ts', import.meta.url));

function breaking(how: string, at: number, threads = 1): Record<string, string> {
  // A heap of 64 MB is exhausted sooner than one of gigabytes.
  const options = `--import ${preload}${how === 'memory' ? ' --max-old-space-size=64' : ''}`;
  return { NODE_OPTIONS: options, BREAK_HOW: how, BREAK_AT: String(at), BREAK_THREADS: String(threads) };
}

for (const [how, reason, inDoubt] of [
  ['exit', /exited with code: 3|exit code/, 'resend'],
  ['throw', /a bug that nobody foresaw/, 'hold'],
  ['memory', /memory limit/, 'resend'],
] as const) {
  test(`a thread that dies of ${how} in the middle loses nobody; who gets it twice was named (${inDoubt})`, async (context) => {
    const mailing = await openMailing(context, { rows: 900, inDoubt, sandbox: { latencyMs: 1 } });
    const ended = await mailing.run({ env: breaking(how, 30) });
    assert.match(ended.stderr, /"a sending thread died"/);
    assert.match(ended.stderr, reason);
    assert.ok(mailing.reported.size > 0, 'it had ends in its journal whose replies it did not read');
    mailing.assertTruthful(ended);
  });
}

test('threads that all die, one after the other, end the run with 70; the same command goes on', async (context) => {
  const mailing = await openMailing(context, { rows: 900, sandbox: { latencyMs: 1 } });
  const ended = await mailing.run({ env: breaking('exit', 6, Infinity) });
  assert.equal(ended.code, 70, ended.stderr);
  assert.match(ended.stderr, /3 sending threads died one after the other.*\n {2}\S/);
  mailing.assertTruthful(await mailing.run());
});
