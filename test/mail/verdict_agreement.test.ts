// Replies of real bounces: our category beside the reason that sisimai gives for the same reply.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeReply } from '../../src/mail/reply.ts';
import { judgeReply, type Category, type Stage } from '../../src/mail/verdict.ts';

const folder = join(import.meta.dirname, '../../../shared/data');

/** Their reasons, and what of ours means the same. Reasons without a reply of the relay's are left out. */
const sameAs: Readonly<Record<string, readonly Category[]>> = {
  userunknown: ['no-such-recipient', 'inactive'],
  filtered: ['no-such-recipient', 'inactive'],
  hasmoved: ['no-such-recipient'],
  hostunknown: ['no-such-recipient'],
  notaccept: ['no-such-recipient'],
  suspend: ['inactive'],
  mailboxfull: ['mailbox-full'],
  mesgtoobig: ['message-too-big'],
  exceedlimit: ['message-too-big'],
  rejected: ['sender-refused', 'rate-limited'],
  authfailure: ['authentication'],
  requireptr: ['reputation'],
  blocked: ['reputation'],
  norelaying: ['relay-auth'],
  toomanyconn: ['rate-limited'],
  spamdetected: ['content', 'reputation'],
  policyviolation: ['policy', 'content'],
  securityerror: ['policy', 'relay-auth'],
  contenterror: ['content'],
  notcompliantrfc: ['content'],
  syntaxerror: ['protocol'],
  networkerror: ['network'],
};

interface Expected {
  readonly reply: string;
  readonly reason: string;
  readonly hard: number;
}

interface Sample extends Expected {
  readonly file: string;
  readonly stage: Stage;
  readonly code: number;
  readonly text: string;
}

const skip = existsSync(folder) ? false : 'no ../shared/data';

test('our category agrees with the reason of another project for most real replies', { skip }, (context) => {
  const samples = readSamples();
  const tally = new Map<string, { same: number; all: number }>();
  for (const sample of samples) {
    const verdict = judgeReply(sample.stage, makeReply(sample.code, sample.text));
    const row = tally.get(sample.reason) ?? { same: 0, all: 0 };
    tally.set(sample.reason, row);
    row.all += 1;
    if (sameAs[sample.reason]?.includes(verdict.category) === true) row.same += 1;
    else
      context.diagnostic(
        `${sample.reason} here ${verdict.code}: ${sample.stage} ${verdict.text.slice(0, 120)} (${sample.file})`,
      );
    // What it says is for ever must not be accepted or asked for again without end.
    if (sample.hard === 1 && sample.code >= 500) assert.equal(verdict.kind, 'rejected', verdict.text);
  }
  let same = 0;
  for (const [reason, row] of [...tally].sort((a, b) => b[1].all - a[1].all)) {
    context.diagnostic(`${reason}: ${row.same} of ${row.all}`);
    same += row.same;
  }
  context.diagnostic(`all: ${same} of ${samples.length}`);
  assert.ok(samples.length >= 100, `only ${samples.length} replies found`);
  assert.ok(same / samples.length >= 0.9, `${same} of ${samples.length} agree`);
});

function readSamples(): Sample[] {
  const expected: Record<string, Expected[]> = JSON.parse(
    readFileSync(join(folder, 'bounces.expected.json'), 'utf8'),
  );
  return Object.entries(expected).flatMap(([file, recipients]) => {
    const source = readFileSync(join(folder, 'bounces', file), 'latin1')
      .replaceAll('\r\n', '\n')
      // Soft line breaks of quoted-printable.
      .replaceAll('=\n', '');
    const reported = readReplies(source);
    const replies = reported.length === 0 ? findReply(source, recipients) : reported;
    if (replies.length !== recipients.length) return [];
    return recipients.flatMap((one, index) => {
      const reply = replies[index];
      if (reply === undefined || !Object.hasOwn(sameAs, one.reason)) return [];
      return [{ ...one, ...reply, file, stage: stageIn(source) }];
    });
  });
}

/** The replies in the Diagnostic-Code fields of a report (RFC 3464 §2.3.6), unfolded. */
function readReplies(source: string): { code: number; text: string }[] {
  return [...source.matchAll(/^Diagnostic-Code:[ \t]*smtp[ \t]*;(.*(?:\n[ \t].*)*)/gim)].flatMap((match) => {
    const line = (match[1] ?? '').replace(/\s+/g, ' ').trim();
    const found = /^([45]\d\d)[ -](.*)$/.exec(line);
    if (found === null) return [];
    // A report repeats the reply code where a line of the reply began.
    const text = (found[2] ?? '').replaceAll(new RegExp(`(?:^| )${found[1]}[ -]`, 'g'), '\n').trim();
    return [{ code: Number(found[1]), text }];
  });
}

/** The reply in a report without fields, of a single recipient: from its code to the end of the paragraph. */
function findReply(source: string, [only, ...others]: readonly Expected[]): { code: number; text: string }[] {
  if (only === undefined || others.length > 0 || !/^[45]\d\d$/.test(only.reply)) return [];
  const text = source.slice(source.indexOf('\n\n'));
  const found = new RegExp(`(?:^|[ :])${only.reply}[ -](\\S.{8,}(?:\n[ \\t]*\\S.*){0,4})`, 'm').exec(
    text,
  )?.[1];
  if (found === undefined) return [];
  const lines = found.replace(/\n[ \t]+/g, '\n').replaceAll(new RegExp(`\n${only.reply}[ -]`, 'g'), '\n');
  return [{ code: Number(only.reply), text: lines }];
}

/** The command that was refused, where the report tells; else RCPT, where most refusals come. */
function stageIn(source: string): Stage {
  const told =
    /in reply\s+to\s+([\w ]+?)\s+command|after (end of data|RCPT TO|MAIL FROM)|^>>> (RCPT|MAIL|DATA|\.)/im.exec(
      source,
    );
  const command = (told?.[1] ?? told?.[2] ?? told?.[3] ?? 'RCPT').toUpperCase();
  if (command.startsWith('MAIL')) return 'mail';
  if (command.startsWith('RCPT')) return 'rcpt';
  return 'end';
}
