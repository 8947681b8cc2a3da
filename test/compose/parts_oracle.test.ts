// The oracle of structure: whatever parts a campaign has, a parser reads the same tree out of our bytes as out of nodemailer's.
import assert from 'node:assert/strict';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as fc from 'fast-check';
import MailComposer from 'nodemailer/lib/mail-composer';
import PostalMime from 'postal-mime';
import { finishCalendar, markValue } from '../../src/compose/calendar.ts';
import { cleanFilename } from '../../src/compose/attachment_header.ts';
import { RenderFailure } from '../../src/compose/cell.ts';
import type { Attachment, Campaign } from '../../src/mail/campaign.ts';
import {
  assertContract,
  at,
  composeOne,
  hostileText,
  shownText,
  messageOf,
  normaliseText,
  planOf,
  recipientOf,
  templateOf,
} from './campaigns.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'posthaste-parts-')));
after(() => rmSync(root, { recursive: true, force: true }));

const files: Readonly<Record<string, Buffer>> = {
  'invoice.pdf': Buffer.from('%PDF-1.7\r\n.\r\nno end'),
  'Größe "x".txt': Buffer.from('.\n'),
  'old.eml': Buffer.from('Subject: \xe9\n\n--=_posthaste\n', 'latin1'),
  'empty.bin': Buffer.alloc(0),
  noending: Buffer.alloc(1000, '='),
};
for (const [name, content] of Object.entries(files)) writeFileSync(join(root, name), content);

const columns = ['name', 'files'];
const invitation =
  'BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:REQUEST\nBEGIN:VEVENT\nSUMMARY:Tea with {{ name }}\n' +
  "DESCRIPTION:{% if name %}{{ name | default: 'you' }}{% endif %}\nEND:VEVENT\nEND:VCALENDAR\n";

/** One shape: which parts a campaign has. All combinations are tried, each with many values. */
interface Shape {
  readonly bodies: 'text' | 'html' | 'both';
  readonly cids: number;
  readonly attachments: number;
  readonly calendar: 'none' | 'alternative' | 'attached';
  readonly rowFiles: readonly string[] | undefined;
}

const shapes: Shape[] = [];
for (const bodies of ['text', 'html', 'both'] as const)
  for (const cids of [0, 1, 2])
    for (const attachments of [0, 1, 2])
      for (const calendar of ['none', 'alternative', 'attached'] as const)
        for (const rowFiles of [undefined, [], ['invoice.pdf'], Object.keys(files)])
          shapes.push({ bodies, cids, attachments, calendar, rowFiles });

const values = fc.record({ name: shownText, filename: hostileText });

test('for every combination of parts, structure, bodies and attachments are nodemailer’s', async () => {
  for (const shape of shapes) {
    for (const { name, filename } of fc.sample(values, 2)) await compare(shape, name, filename);
  }
});

test('whatever a recipient is called, parts are nodemailer’s', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...shapes), values, (shape, { name, filename }) =>
      compare(shape, name, filename),
    ),
    { numRuns: 300 },
  );
});

async function compare(shape: Shape, name: string, filename: string): Promise<void> {
  const plan = planOf([...columns, 'filename'], campaignOf(shape));
  const composed = composeOne(plan, recipientOf([name, (shape.rowFiles ?? []).join(';'), filename]));
  const shown = shownName(filename);
  if (shown === undefined && shape.attachments + shape.cids > 0) {
    assert.match(
      composed.kind === 'invalid' ? composed.reason : '',
      /^the name of an attachment is empty$|the name of an attachment prints it without a default/,
    );
    return;
  }
  const message = messageOf(composed);
  assertContract(message);
  const theirs = await composeTheirs(shape, name, shown ?? '')
    .compile()
    .build();
  assert.deepEqual(outlineOf(message), outlineOf(theirs.toString('latin1')));
  assert.deepEqual(await read(message), await read(theirs));
}

function campaignOf(shape: Shape): Partial<Campaign> {
  const { bodies, calendar, rowFiles } = shape;
  return {
    text: bodies === 'html' ? undefined : templateOf('Dear {{ name }}'),
    html: bodies === 'text' ? undefined : templateOf('<p>Dear {{ name }}</p>'),
    attachments: staticAttachments(shape),
    calendar:
      calendar === 'none'
        ? undefined
        : {
            source: templateOf(invitation),
            method: 'REQUEST',
            filename: calendar === 'attached' ? 'invite.ics' : undefined,
          },
    rowAttachments:
      rowFiles === undefined
        ? undefined
        : [{ column: 'files', root, separator: ';', isOptional: true, mostBytes: 1000, where: 'c.yaml:1:1' }],
  };
}

function staticAttachments({ cids, attachments }: Shape): Attachment[] {
  return [
    ...Array.from({ length: cids }, (_, index) => ({
      filename: `logo${index}.png`,
      filenameTemplate: index === 0 ? templateOf('{{ filename }}') : undefined,
      content: Buffer.from(`png ${index}`),
      cid: `logo${index}@example.com`,
    })),
    ...Array.from({ length: attachments }, (_, index) => ({
      filename: 'terms.pdf',
      filenameTemplate: index === 0 ? templateOf('{{ filename }}') : undefined,
      content: Buffer.alloc(200, `pdf ${index}`),
    })),
  ];
}

function composeTheirs(shape: Shape, name: string, filename: string): MailComposer {
  const { bodies, calendar, rowFiles } = shape;
  const clean = normaliseText(name);
  const escaped = clean.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
  const ics = finishCalendar(
    invitation
      .replace('{{ name }}', () => markValue(name))
      .replace(/\{% if .*endif %\}/, () => markValue(name === '' ? 'you' : name)),
  );
  return new MailComposer({
    from: 'hello@mail.example.com',
    subject: 'x',
    date: new Date(at),
    text: bodies === 'html' ? undefined : `Dear ${clean}`,
    html: bodies === 'text' ? undefined : `<p>Dear ${escaped}</p>`,
    attachments: [
      ...staticAttachments(shape).map(({ content, cid, filename: own, filenameTemplate }) => ({
        content: Buffer.from(content),
        cid,
        filename: filenameTemplate === undefined ? own : filename,
        // The type is the file's own, whatever it is called.
        contentType: own.endsWith('.png') ? 'image/png' : 'application/pdf',
      })),
      ...(rowFiles ?? []).map((one) => ({
        filename: one,
        content: files[one],
        contentType: one.endsWith('.eml') ? 'application/octet-stream' : undefined,
      })),
    ],
    ...(calendar === 'attached' ? { icalEvent: { content: ics, method: 'REQUEST' } } : {}),
    ...(calendar === 'alternative'
      ? { alternatives: [{ contentType: 'text/calendar; charset=utf-8; method=REQUEST', content: ics }] }
      : {}),
    encoding: 'quoted-printable',
    newline: 'win',
  });
}

/** Every part's fields but the boundaries, in order, and the delimiter lines by depth of nesting. */
function outlineOf(message: string): string[] {
  const boundaries: string[] = [];
  const lines = message.replace(/\r\n(?=[ \t])/g, '').split('\r\n');
  return lines.flatMap((line) => {
    const boundary = /^Content-Type: multipart.*boundary="(.*)"$/.exec(line)?.[1];
    if (boundary !== undefined) {
      boundaries.push(boundary);
      return [line.replace(boundary, String(boundaries.length))];
    }
    const index = boundaries.findIndex((one) => line === `--${one}` || line === `--${one}--`);
    if (index !== -1) return [line.replace(boundaries[index] ?? '', String(index + 1))];
    return line.startsWith('Content-') ? [line] : [];
  });
}

async function read(message: string | Buffer): Promise<unknown> {
  const email = await PostalMime.parse(message, { attachmentEncoding: 'base64' });
  const [text, html] = [email.text, email.html].map((one) =>
    one
      ?.replaceAll(/\r\n?/g, '\n')
      .replace(/\n$/, '')
      .replaceAll(/&#(\d+);|&amp;|&lt;|&gt;/g, decode),
  );
  return { text, html, attachments: email.attachments };
}

function decode(entity: string, code: string | undefined): string {
  if (code !== undefined) return String.fromCharCode(Number(code));
  return { '&amp;': '&', '&lt;': '<', '&gt;': '>' }[entity] ?? entity;
}

function shownName(filename: string): string | undefined {
  try {
    return cleanFilename(filename);
  } catch (thrown) {
    assert.ok(thrown instanceof RenderFailure);
    return undefined;
  }
}
