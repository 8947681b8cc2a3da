// The program as npm packs and installs it: built JavaScript, in an empty folder.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');

function run(cwd: string, program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, NODE_ENV: '', npm_config_loglevel: 'error' },
    timeout: 180_000,
  });
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

test('packed and installed in an empty folder, it runs: version, demo, and what it brings with it', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-package-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  // Built from a copy: a clone's own dist is nobody's business.
  const source = join(folder, 'source');
  mkdirSync(source);
  for (const name of ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'README.md', 'LICENSE'])
    cpSync(join(root, name), join(source, name));
  for (const name of ['src', 'config', 'systemd'])
    cpSync(join(root, name), join(source, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(source, 'node_modules'));
  run(source, 'npm', 'run', '--silent', 'build');
  const [packed = ''] = run(source, 'npm', 'pack', '--silent', '--pack-destination', folder)
    .trim()
    .split('\n');
  const place = join(folder, 'place');
  mkdirSync(place);
  run(
    place,
    'npm',
    'install',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
    '--omit=optional',
    join(folder, packed),
  );
  const program = join(place, 'node_modules/.bin/posthaste');
  assert.match(run(place, process.execPath, program, '--version'), /^\d+\.\d+\.\d+/);
  const summary: { accepted: number; rejected: number } = JSON.parse(
    run(place, process.execPath, program, 'demo', '--rows', '100', '--json').trim(),
  );
  assert.equal(summary.accepted + summary.rejected, 100);
  const brought = readdirSync(join(place, 'node_modules/posthaste'));
  for (const name of ['dist', 'config', 'systemd', 'README.md', 'LICENSE'])
    assert.ok(brought.includes(name), name);
  assert.ok(!brought.includes('test'));
});
