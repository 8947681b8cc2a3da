// At the terminal: the table that redraws itself, completion in a real shell, addresses that are hidden.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { Folder } from '../cli/posthaste.ts';
import { skipUnlessInstalled } from '../peers/required.ts';
import { isFinished, openServing } from './serving.ts';

const main = resolve(import.meta.dirname, '../../src/main.ts');

test(
  'top redraws on a terminal as campaigns go on, until it is interrupted',
  { skip: skipUnlessInstalled('script') },
  async (context) => {
    const serving = await openServing(context, 2000, { relay: 'maxConnections: 5, rate: 200/s' });
    await serving.start();
    await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
    const command = `${process.execPath} ${main} top`;
    const program = spawn('script', ['-qefc', command, '/dev/null'], {
      cwd: serving.folder.path,
      stdio: 'pipe',
    });
    context.after(() => program.kill('SIGKILL'));
    let text = '';
    program.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    for (let tries = 0; tries < 400 && text.split('\u001b[H').length < 5; tries += 1)
      await new Promise((again) => setTimeout(again, 20));
    assert.match(text, /1 campaigns, [\d,]+ recipients pending, \d+\/s/);
    assert.match(text, /spring +sending +[\d,]+ +\d+ .*relay primary 200\/s/);
    program.stdin.write('\u0003');
    await new Promise((done) => program.once('exit', done));
    await serving.ok(['cancel', 'spring']);
    assert.equal((await serving.stop()).code, 0);
  },
);

test('bash completes commands, options, and campaigns of the daemon', async (context) => {
  const serving = await openServing(context, 5);
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv', '--as', 'spring-sale']);
  await serving.until(isFinished, 'spring-sale');
  const wrapper = join(serving.folder.path, 'posthaste');
  writeFileSync(wrapper, `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`, { mode: 0o755 });
  const complete = async (...words: readonly string[]): Promise<string[]> => {
    const script = `eval "$(posthaste completion bash)"; COMP_WORDS=(posthaste ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _posthaste; echo "\${COMPREPLY[@]}"`;
    const shell = spawn('bash', ['-c', script], {
      cwd: serving.folder.path,
      env: { PATH: `${serving.folder.path}:${process.env['PATH']}` },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    shell.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    await new Promise((done) => shell.once('close', done));
    return text.trim().split(' ');
  };
  assert.deepEqual(await complete('pau'), ['pause']);
  assert.deepEqual(await complete('submit', '--exp'), ['--expect-rows']);
  assert.deepEqual(await complete('status', 'spring-s'), ['spring-sale']);
  assert.equal((await serving.stop()).code, 0);
});

test('zsh and fish have their scripts, and another shell is refused', async (context) => {
  const folder = new Folder(context);
  assert.match((await folder.run(['completion', 'zsh'])).stdout, /^#compdef posthaste/);
  assert.match((await folder.run(['completion', 'fish'])).stdout, /complete -c posthaste .*-l expect-rows/);
  assert.equal((await folder.run(['completion', 'csh'])).code, 64);
});

test('with log.addresses hidden no recipient’s name is in log or event log', async (context) => {
  const serving = await openServing(context, 40, {
    sandbox: { faults: [parseFault('rcpt 50%: 550 5.1.1 no such user here')] },
    config: 'log: { level: trace, addresses: hidden }\nevents: { recipients: true }\n',
  });
  const daemon = await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(isFinished);
  assert.equal((await serving.stop()).code, 0);
  const folder = join(serving.folder.path, 'state/events');
  const events = readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('');
  assert.match(events, /"kind":"recipientSettled"/);
  assert.match(events, /"address":"[0-9a-f]{10}@example\.com"/);
  for (const text of [events, daemon.text()]) assert.ok(!/reader\d/.test(text), text.slice(0, 500));
});
