import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { skipUnlessInstalled } from '../peers/required.ts';
import { campaignYaml, Folder, makeList } from './posthaste.ts';

const main = resolve(import.meta.dirname, '../../src/main.ts');

test(
  'on a terminal a progress line is redrawn in place; elsewhere there is none',
  { skip: skipUnlessInstalled('script') },
  async (context) => {
    const sandbox = await startSandbox({ latencyMs: 5 });
    context.after(() => sandbox.close());
    const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(1000) });
    const args = [
      'send',
      'campaign.yaml',
      'list.csv',
      '--relay',
      `smtp://127.0.0.1:${sandbox.port}?maxMessages=5000`,
    ];
    const command = [process.execPath, main, ...args, '--state', 'terminal']
      .map((word) => `'${word}'`)
      .join(' ');
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      cwd: folder.path,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let seen = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (seen += text));
    await once(child, 'close');
    const lines = seen
      .split('\r')
      .filter((line) => /spring {2}[\d,]+ of 1,000 rows {2}accepted [\d,]+/.test(line));
    assert.ok(lines.length >= 2, seen);
    const piped = await folder.run([...args, '--state', 'pipe']);
    assert.equal(piped.code, 0, piped.stderr);
    assert.doesNotMatch(piped.stderr, / of 1,000 rows/);
  },
);
