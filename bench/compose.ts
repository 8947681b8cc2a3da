// How long composing takes: our compiled campaign against nodemailer's MailComposer, and a large one against hashing and writing it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { openSync, writeSync } from 'node:fs';
import MailComposer from 'nodemailer/lib/mail-composer';
import PostalMime from 'postal-mime';
import { compileCampaign, type Composer } from '../src/compose/compose.ts';
import { invariant } from '../src/base/invariant.ts';
import type { Campaign, CampaignPlan } from '../src/mail/campaign.ts';
import type { Recipient } from '../src/mail/recipient.ts';

const rounds = 21;
const oursPerRound = 20_000;
const liquidPerRound = 2000;
const theirsPerRound = 200;
const at = Date.UTC(2026, 10, 2, 9, 30);

const sentence =
  'The days grow longer, and everything in the shop that is green costs a fifth less until Sunday. ';
const columns = ['email', 'first_name', 'city', 'order', 'code', 'link'];

function makePlan(): CampaignPlan {
  const campaign: Campaign = {
    name: 'bench',
    from: { name: 'Shop', address: 'hello@mail.example.com' },
    replyTo: source('help@example.com'),
    reversePath: 'bounce@mail.example.com',
    subject: source("{{ first_name | default: 'Hello' }}, spring is here"),
    text: source(makeText()),
    html: source(
      `<html><body><p>${makeText().replaceAll('\n\n', '</p>\n<p>').trimEnd()}</p></body></html>\n`,
    ),
    attachments: [],
    headers: [['List-Unsubscribe', source('<https://example.com/unsubscribe>')]],
  };
  return { id: 1, campaign, columns };
}

function source(text: string): Campaign['subject'] {
  return { file: 'bench', line: 1, source: text };
}

function makeText(): string {
  return `Dear {{ first_name }},\n\n${sentence.repeat(3)}\n\nYour order {{ order }} to {{ city }} was the last one with the old catalogue.\n\n${sentence.repeat(3)}\n\nUse the code {{ code }} at {{ link }}\n\nYours\n`;
}

function makeRecipients(count: number): Recipient[] {
  const names = ['Ann', 'Benedikt', 'José', 'Charlotte-Louise', "O'Hara", 'Zoë'];
  return Array.from({ length: count }, (_, index) => {
    const name = names[index % names.length] ?? '';
    const address = `user${index}@example.net`;
    const cells = [
      address,
      name,
      'Brno',
      `${10_000 + index}`,
      `CODE${index}`,
      `https://example.com/r/${index}`,
    ];
    return { row: index + 1, line: index + 2, address, cells };
  });
}

/** The same campaign with every column in a form that the composer leaves to liquidjs. */
function leaveToLiquid(campaign: Campaign): Campaign {
  const { subject, text, html } = campaign;
  invariant(text !== undefined && html !== undefined, 'the campaign has both parts');
  return {
    ...campaign,
    subject: appendNothing(subject),
    text: appendNothing(text),
    html: appendNothing(html),
  };
}

function appendNothing({ source: text }: Campaign['subject']): Campaign['subject'] {
  return source(text.replaceAll(' }}', " | append: '' }}"));
}

/** The same message by nodemailer, from parts that are rendered already: its time is MIME alone. */
function makeTheirs(campaign: Campaign, recipient: Recipient): () => Promise<Buffer> {
  const options = {
    from: { ...campaign.from },
    replyTo: { name: '', address: campaign.replyTo?.source ?? '' },
    to: recipient.address,
    subject: render(campaign.subject.source.replace(" | default: 'Hello'", ''), recipient),
    text: render(campaign.text?.source ?? '', recipient),
    html: render(campaign.html?.source ?? '', recipient).replaceAll("'", '&#39;'),
    headers: [{ key: 'List-Unsubscribe', value: '<https://example.com/unsubscribe>' }],
    date: new Date(at),
    messageId: `<${recipient.row}@mail.example.com>`,
    encoding: 'quoted-printable',
  };
  return () => new MailComposer({ ...options }).compile().build();
}

function render(template: string, recipient: Recipient): string {
  return columns.reduce((text, column, index) => {
    const cell = recipient.cells[index];
    return text.replaceAll(`{{ ${column} }}`, typeof cell === 'string' ? cell : '');
  }, template);
}

async function read(message: string | Buffer): Promise<unknown> {
  const { subject, from, to, replyTo, text, html, date } = await PostalMime.parse(message);
  return { subject, from, to, replyTo, text, html, date };
}

function summarise(samplesUs: readonly number[]): { medianUs: number; text: string } {
  const sorted = samplesUs.toSorted((a, b) => a - b);
  const quantile = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
  const range = `${quantile(0).toFixed(2)}–${quantile(1).toFixed(2)}`;
  return { medianUs: quantile(0.5), text: `median ${quantile(0.5).toFixed(2)} µs, range ${range}` };
}

const plan = makePlan();
const recipients = makeRecipients(oursPerRound);
const composer = compileCampaign(plan);
const liquidComposer = compileCampaign({ ...plan, campaign: leaveToLiquid(plan.campaign) });

function composeBytes(composer: Composer, recipient: Recipient): Buffer {
  const composed = composer.compose(recipient, at);
  invariant(composed.kind === 'message', 'every recipient of the benchmark is valid');
  // A string of many pieces is only put together when it is read: that belongs to the price.
  return Buffer.from(composed.message, 'latin1');
}

for (const recipient of recipients.slice(0, 12)) {
  const theirs = await makeTheirs(plan.campaign, recipient)();
  assert.deepEqual(await read(composeBytes(composer, recipient)), await read(theirs));
}

const oursUs: number[] = [];
const liquidUs: number[] = [];
const theirsUs: number[] = [];
for (let round = -3; round < rounds; round++) {
  let startedAt = performance.now();
  for (const recipient of recipients) composeBytes(composer, recipient);
  const ours = ((performance.now() - startedAt) * 1000) / oursPerRound;
  startedAt = performance.now();
  for (const recipient of recipients.slice(0, liquidPerRound)) composeBytes(liquidComposer, recipient);
  const liquid = ((performance.now() - startedAt) * 1000) / liquidPerRound;
  const builds = recipients.slice(0, theirsPerRound).map((recipient) => makeTheirs(plan.campaign, recipient));
  startedAt = performance.now();
  for (const build of builds) await build();
  const theirs = ((performance.now() - startedAt) * 1000) / theirsPerRound;
  // The first rounds warm the compiler up.
  if (round < 0) continue;
  oursUs.push(ours);
  liquidUs.push(liquid);
  theirsUs.push(theirs);
}

const ours = summarise(oursUs);
const liquid = summarise(liquidUs);
const theirs = summarise(theirsUs);
const [sample] = recipients;
invariant(sample !== undefined, 'there is a recipient');
process.stdout.write(
  `message             ${composeBytes(composer, sample).length} bytes, text and HTML, 5 merge fields in each\n`,
);
process.stdout.write(`posthaste           ${ours.text} (to bytes, templates included)\n`);
process.stdout.write(`  columns by Liquid ${liquid.text} (the same without the short cut for columns)\n`);
process.stdout.write(`nodemailer          ${theirs.text} (to bytes, rendered before)\n`);
process.stdout.write(`ratio of medians    ${(theirs.medianUs / ours.medianUs).toFixed(1)}\n`);

/** Targets: twenty times nodemailer, 15 µs, and for 100 KB no more than half again what hashing and writing them costs. */
function judge(isMet: boolean): string {
  return isMet ? 'met' : 'MISSED';
}

const nowhere = openSync('/dev/null', 'w');
const largePerRound = 200;
const largeComposer = compileCampaign({ ...plan, campaign: enlarge(plan.campaign) });

/** The same letter with 100 KB of HTML. */
function enlarge(campaign: Campaign): Campaign {
  const { html } = campaign;
  invariant(html !== undefined, 'the campaign has HTML');
  const rows = `<tr><td style="padding: 4px">${sentence}</td></tr>\n`;
  const table = `<table>\n${rows.repeat(Math.ceil(98_000 / rows.length))}</table>`;
  return { ...campaign, html: source(html.source.replace('</body>', `${table}</body>`)) };
}

function timeLarge(work: (recipient: Recipient) => void): number {
  const startedAt = performance.now();
  for (const recipient of recipients.slice(0, largePerRound)) work(recipient);
  return ((performance.now() - startedAt) * 1000) / largePerRound;
}

const ready = composeBytes(largeComposer, sample);
const composeUs: number[] = [];
const hashAndWriteUs: number[] = [];
for (let round = -3; round < rounds; round++) {
  const composed = timeLarge((recipient) => void composeBytes(largeComposer, recipient));
  const hashed = timeLarge(() => {
    createHash('sha256').update(ready).digest();
    writeSync(nowhere, ready);
  });
  if (round < 0) continue;
  composeUs.push(composed);
  hashAndWriteUs.push(hashed);
}
const large = summarise(composeUs);
const hashAndWrite = summarise(hashAndWriteUs);
const share = large.medianUs / hashAndWrite.medianUs;
process.stdout.write(`posthaste, ${ready.length} bytes: ${large.text}\n`);
process.stdout.write(`hash and write of them: ${hashAndWrite.text}\n`);
process.stdout.write(
  `ratio to nodemailer ${(theirs.medianUs / ours.medianUs).toFixed(1)} (target: at least 20, ${judge(theirs.medianUs >= 20 * ours.medianUs)}); ` +
    `${ours.medianUs.toFixed(1)} µs (at most 15, ${judge(ours.medianUs <= 15)}); large ${share.toFixed(2)} of hash and write (at most 1.5, ${judge(share <= 1.5)})\n`,
);
