// Files by column: which are found, which are refused with which reason, and what is kept.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import PostalMime from 'postal-mime';
import { PosthasteError } from '../../src/base/error.ts';
import { checkTemplates, compileCampaign } from '../../src/compose/compose.ts';
import type { RowAttachments } from '../../src/mail/campaign.ts';
import type { Cell } from '../../src/mail/recipient.ts';
import { at, composeOne, messageOf, planOf, recipientOf, templateOf } from './campaigns.ts';

function makeRoot(context: TestContext): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'posthaste-rows-')));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'root/sub'), { recursive: true });
  writeFileSync(join(folder, 'secret.pdf'), 'secret');
  writeFileSync(join(folder, 'root/a.pdf'), 'A');
  writeFileSync(join(folder, 'root/sub/b.pdf'), 'B');
  symlinkSync('../secret.pdf', join(folder, 'root/out.pdf'));
  symlinkSync('..', join(folder, 'root/up'));
  symlinkSync('sub/b.pdf', join(folder, 'root/in.pdf'));
  symlinkSync('nowhere', join(folder, 'root/dangling'));
  execFileSync('mkfifo', [join(folder, 'root/fifo')]);
  writeFileSync(join(folder, 'root/large.bin'), Buffer.alloc(101));
  return join(folder, 'root');
}

function planFor(root: string, options: Partial<RowAttachments> = {}) {
  const base = {
    column: 'files',
    root,
    separator: ';',
    isOptional: false,
    mostBytes: 100,
    where: 'c.yaml:7:20',
  };
  return planOf(['files', 'name'], { text: templateOf('x'), rowAttachments: [{ ...base, ...options }] });
}

async function attached(root: string, cell: Cell, options?: Partial<RowAttachments>): Promise<unknown[]> {
  const message = messageOf(composeOne(planFor(root, options), recipientOf([cell, 'Zoë'])));
  const { attachments } = await PostalMime.parse(message, { attachmentEncoding: 'utf8' });
  return attachments.map(({ filename, mimeType, content }) => [filename, mimeType, content]);
}

test('a cell names one file, several with separators, or a list', async (t) => {
  const root = makeRoot(t);
  const [a, b] = [
    ['a.pdf', 'application/pdf', 'A'],
    ['b.pdf', 'application/pdf', 'B'],
  ];
  assert.deepEqual(await attached(root, 'a.pdf'), [a]);
  assert.deepEqual(await attached(root, ' a.pdf ; ./sub/../sub/b.pdf;'), [a, b]);
  assert.deepEqual(await attached(root, ['sub/b.pdf', 'a.pdf']), [b, a]);
  assert.deepEqual(await attached(root, 'a.pdf|sub/b.pdf', { separator: '|' }), [a, b]);
  assert.deepEqual(await attached(root, 'in.pdf'), [['in.pdf', 'application/pdf', 'B']]);
});

test('the name that recipients see is a template, the type that of the file or of the campaign', async (t) => {
  const root = makeRoot(t);
  const filenameTemplate = templateOf('Rechnung/{{ name }}\r\n.txt');
  assert.deepEqual(await attached(root, 'a.pdf', { filenameTemplate }), [
    ['Rechnung_Zoë .txt', 'application/pdf', 'A'],
  ]);
  assert.deepEqual(
    await attached(root, 'a.pdf', { filenameTemplate: templateOf('=?utf-8?q?=41?={{ name }}') }),
    [['=_utf-8?q?=41?=Zoë', 'application/pdf', 'A']],
  );
  assert.deepEqual(await attached(root, 'a.pdf', { contentType: 'message/rfc822' }), [
    ['a.pdf', 'application/octet-stream', 'A'],
  ]);
});

const refused: readonly (readonly [cell: Cell, reason: string])[] = [
  ['', 'column "files" names no file to attach'],
  [' ; ', 'column "files" names no file to attach'],
  [null, 'column "files" names no file to attach'],
  [['a.pdf', 7], 'column "files" holds something else than names of files'],
  [{ file: 'a.pdf' }, 'the file "[object Object]" of column "files" does not exist'],
  ['no.pdf', 'the file "no.pdf" of column "files" does not exist'],
  ['../secret.pdf', 'the file "../secret.pdf" of column "files" leads out of the folder of the attachments'],
  ['../nothing', 'the file "../nothing" of column "files" leads out of the folder of the attachments'],
  [
    '/etc/passwd',
    'the file "/etc/passwd" of column "files" is not relative to the folder of the attachments',
  ],
  ['out.pdf', 'the file "out.pdf" of column "files" leads out of the folder of the attachments'],
  ['up/secret.pdf', 'the file "up/secret.pdf" of column "files" leads out of the folder of the attachments'],
  ['.', 'the file "." of column "files" leads out of the folder of the attachments'],
  ['sub', 'the file "sub" of column "files" is not a regular file'],
  ['fifo', 'the file "fifo" of column "files" is not a regular file'],
  ['a.pdf/x', 'the file "a.pdf/x" of column "files" does not exist'],
  ['dangling', 'the file "dangling" of column "files" does not exist'],
  ['large.bin', 'the file "large.bin" of column "files" is larger than 100 bytes'],
  ['a.pdf\u0000.png', 'the file "a.pdf?.png" of column "files" has no name that a file can have'],
  ['x'.repeat(300), `the file "${'x'.repeat(200)}" of column "files" has a name that is too long`],
  [Array.from({ length: 51 }, () => 'a.pdf'), 'column "files" names 51 files; at most 50 can be attached'],
];

test('what cannot be attached makes the recipient invalid with the reason', (t) => {
  const root = makeRoot(t);
  for (const [cell, reason] of refused)
    assert.deepEqual(composeOne(planFor(root), recipientOf([cell])), { kind: 'invalid', reason });
});

test('where files are optional a blank cell is a message without, and a file that is not there is still an error', async (t) => {
  const root = makeRoot(t);
  const isOptional = true;
  for (const cell of ['', null, [], ' ; ']) assert.deepEqual(await attached(root, cell, { isOptional }), []);
  const message = messageOf(composeOne(planFor(root, { isOptional }), recipientOf([])));
  assert.doesNotMatch(message, /multipart/);
  assert.equal(composeOne(planFor(root, { isOptional }), recipientOf(['no.pdf'])).kind, 'invalid');
});

test('a file that changes between two recipients is read again', (t) => {
  const root = makeRoot(t);
  const composer = compileCampaign(planFor(root));
  const bodyOf = (): string => {
    const composed = composer.compose(recipientOf(['a.pdf']), at);
    assert.ok(composed.kind === 'message');
    return composed.message;
  };
  assert.equal(bodyOf(), bodyOf());
  assert.match(bodyOf(), /^QQ==\r$/m);
  rmSync(join(root, 'a.pdf'));
  assert.equal(composer.compose(recipientOf(['a.pdf']), at).kind, 'invalid');
  writeFileSync(join(root, 'a.pdf'), 'Z');
  assert.match(bodyOf(), /^Wg==\r$/m);
});

test('a column that the list lacks stops the campaign, with the place and the nearest name', (t) => {
  const { campaign } = planFor(makeRoot(t));
  assert.throws(
    () => checkTemplates(campaign, ['file', 'email']),
    (error) =>
      error instanceof PosthasteError &&
      error.code === 'ERR_ATTACHMENT_UNKNOWN_COLUMN' &&
      error.where === 'c.yaml:7:20' &&
      /Did you mean "file"\?/.test(error.hint ?? ''),
  );
});
