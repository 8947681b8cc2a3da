import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { campaignYaml, Folder, makeList, summaryIn } from './posthaste.ts';

interface Case {
  readonly name: string;
  readonly files?: Record<string, string>;
  readonly args?: readonly string[];
  readonly code: number;
  /** What stderr must say, all of it. */
  readonly says: readonly RegExp[];
}

const good = { 'campaign.yaml': campaignYaml, 'list.csv': makeList(3) };
/** Nobody listens there: what is wrong with the input must be said before the relay is asked. */
const relay = ['--relay', 'smtp://127.0.0.1:1', '--state', 'state'];
const send = ['send', 'campaign.yaml', 'list.csv', ...relay];

const cases: Case[] = [
  { name: 'no command', args: [], code: 64, says: [/Usage: posthaste/] },
  {
    name: 'an unknown command',
    args: ['sned'],
    code: 64,
    says: [/unknown command 'sned'/, /Did you mean send/],
  },
  {
    name: 'an unknown option',
    args: [...send, '--ratee', '5'],
    code: 64,
    says: [/unknown option '--ratee'/],
  },
  {
    name: 'no campaign file',
    args: ['send', 'gone.yaml', 'list.csv', ...relay],
    code: 66,
    says: [/gone\.yaml/],
  },
  {
    name: 'no list file',
    args: ['send', 'campaign.yaml', 'gone.csv', ...relay],
    code: 66,
    says: [/gone\.csv/],
  },
  {
    name: 'a directory for a list',
    args: ['send', 'campaign.yaml', 'folder', ...relay],
    code: 66,
    says: [/folder is a directory/],
  },
  {
    name: 'no list at all',
    args: ['send', 'campaign.yaml', ...relay],
    code: 64,
    says: [/no complete list yet/, /posthaste send CAMPAIGN LIST/],
  },
  { name: 'an empty list', files: { 'list.csv': '' }, code: 65, says: [/empty/i] },
  {
    name: 'a list with a header only',
    files: { 'list.csv': 'email,first_name\n' },
    code: 65,
    says: [/list\.csv/],
  },
  {
    name: 'a list without the address column',
    files: { 'list.csv': 'mail_addr,first_name\na@example.com,A\n' },
    code: 65,
    says: [/email/, /mail_addr/, /first_name/],
  },
  {
    name: 'an unknown template variable',
    files: {
      'campaign.yaml': campaignYaml.replace('Dear {{ first_name }}, it', 'Dear {{ frist_name }}, it'),
    },
    code: 65,
    says: [/frist_name/, /first_name/, /campaign\.yaml:4:\d+/],
  },
  {
    name: 'broken Liquid',
    files: { 'campaign.yaml': campaignYaml.replace('"<p>Dear', '"<p>{% if x %}Dear') },
    code: 65,
    says: [/campaign\.yaml:5:\d+/],
  },
  {
    name: 'broken YAML',
    files: { 'campaign.yaml': 'name: [spring\n' },
    code: 65,
    says: [/campaign\.yaml:\d+:\d+/],
  },
  {
    name: 'an unknown key in the campaign',
    files: { 'campaign.yaml': campaignYaml.replace('subject:', 'subjct:') },
    code: 65,
    says: [/campaign\.yaml:3:1/, /subjct/, /did you mean "?subject/i],
  },
  {
    name: 'an unknown key in the configuration',
    files: { 'c.yaml': 'relays:\n  primary:\n    hots: mail.example.com\n' },
    args: [...send, '--config', 'c.yaml'],
    code: 78,
    says: [/c\.yaml:3:5/, /hots/, /did you mean "?host/i],
  },
  {
    name: 'rejectUnauthorized: false on a relay that is not marked as a development relay',
    files: {
      'c.yaml':
        'relays:\n  primary:\n    host: localhost\n    port: 465\n    tls: { rejectUnauthorized: false }\n',
    },
    args: ['send', 'campaign.yaml', 'list.csv', '--config', 'c.yaml', '--state', 'state'],
    code: 78,
    says: [/c\.yaml:5/, /development/],
  },
  {
    name: 'no relay',
    args: ['send', 'campaign.yaml', 'list.csv', '--state', 'state'],
    code: 78,
    says: [/relay/, /--relay/],
  },
  {
    name: 'a password without TLS',
    args: [
      'send',
      'campaign.yaml',
      'list.csv',
      '--relay',
      'smtp://u:canary-pass@mail.example.com',
      '--state',
      'state',
    ],
    code: 78,
    says: [/smtp\+starttls|TLS/i],
  },
  {
    name: 'a column that is there twice',
    files: { 'list.csv': 'email,first_name,first_name\na@example.com,A,B\n' },
    code: 65,
    says: [/first_name/],
  },
];

for (const { name, files, args, code, says } of cases) {
  test(`${name} ends with ${code} and says what to do`, async (context) => {
    const folder = new Folder(context, { ...good, ...files });
    mkdirSync(join(folder.path, 'folder'));
    const ended = await folder.run(args ?? send);
    for (const pattern of says) assert.match(ended.stderr, pattern);
    assert.equal(ended.code, code, ended.stderr);
    assert.doesNotMatch(ended.stderr, /canary|\n\s+at /, 'a secret or a stack in the message');
    assert.equal(ended.stdout, '');
  });
}

test('a relay that refuses connections ends with 69, soon, and loses nothing', async (context) => {
  const folder = new Folder(context, good);
  const port = await freePort();
  const args = [
    'send',
    'campaign.yaml',
    'list.csv',
    '--state',
    'state',
    '--json',
    '--relay',
    `smtp://127.0.0.1:${port}`,
  ];
  const refused = await folder.run(args);
  assert.equal(refused.code, 69, refused.stderr);
  assert.match(refused.stderr, new RegExp(`127\\.0\\.0\\.1:${port}.*ECONNREFUSED`));
  assert.match(refused.stderr, /check host and port/);
  const sandbox = await startSandbox({ port });
  context.after(() => sandbox.close());
  assert.equal(summaryIn(await folder.run(args)).accepted, 3);
});

test('a relay that greets with 554 ends with 69, and no recipient is rejected for it', async (context) => {
  const sandbox = await startSandbox({
    faults: [{ at: 'greeting', action: { kind: 'reply', reply: '554 5.3.2 not now' } }],
  });
  context.after(() => sandbox.close());
  const folder = new Folder(context, good);
  const args = [
    'send',
    'campaign.yaml',
    'list.csv',
    '--state',
    'state',
    '--relay',
    `smtp://127.0.0.1:${sandbox.port}`,
  ];
  const ended = await folder.run([...args, '--results', 'out.csv']);
  assert.equal(ended.code, 69, ended.stderr);
  assert.match(ended.stderr, /554 5\.3\.2 not now/);
  assert.deepEqual(statuses(folder), ['pending', 'pending', 'pending']);
});

test('a certificate that does not verify ends with 69 and tells how to trust it', async (context) => {
  const sandbox = await startSandbox({ tls: 'starttls' });
  context.after(() => sandbox.close());
  const folder = new Folder(context, good);
  const args = [
    'send',
    'campaign.yaml',
    'list.csv',
    '--state',
    'state',
    '--relay',
    `smtp+starttls://localhost:${sandbox.port}`,
  ];
  const ended = await folder.run(args);
  assert.equal(ended.code, 69, ended.stderr);
  assert.match(ended.stderr, /self-signed certificate/);
  assert.match(ended.stderr, /tls\.ca/);
  assert.equal(sandbox.stats().taken, 0);
});

test('a wrong password ends with 77; the password is printed nowhere; the right one goes on', async (context) => {
  const sandbox = await startSandbox({ tls: 'implicit', auth: { user: 'shop', pass: 'right' } });
  context.after(() => sandbox.close());
  const folder = new Folder(context, { ...good, 'ca.pem': sandbox.certificate ?? '' });
  const args = ['send', 'campaign.yaml', 'list.csv', '--state', 'state', '--json'];
  const url = (pass: string): Record<string, string> => ({
    POSTHASTE_RELAY: `smtps://shop:${pass}@localhost:${sandbox.port}?ca=ca.pem`,
  });
  const refused = await folder.run(args, { env: url('canary-wrong') });
  assert.equal(refused.code, 77, refused.stderr);
  assert.match(refused.stderr, /535/);
  assert.match(refused.stderr, /user and password/);
  const hidden = [
    'canary-wrong',
    Buffer.from('canary-wrong').toString('base64'),
    Buffer.from('\0shop\0canary-wrong').toString('base64'),
  ];
  for (const form of hidden) assert.ok(!(refused.stdout + refused.stderr).includes(form));
  assert.equal(summaryIn(await folder.run(args, { env: url('right') })).accepted, 3);
});

function statuses(folder: Folder): string[] {
  const [header = '', ...rows] = folder.read('out.csv').trimEnd().split('\r\n');
  const position = header.split(',').indexOf('status');
  return rows.map((row) => row.split(',')[position] ?? '');
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
