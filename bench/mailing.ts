// The mailings that benchmarks send: a list of about 60 bytes a row, and a message of 2 KB or a newsletter of 30 KB, in two parts.
import { mkdirSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compileCampaign } from '../src/compose/compose.ts';
import { loadCampaign } from '../src/config/load_campaign.ts';

const columns = ['email', 'first_name', 'last_name', 'city', 'plan'];
const firstNames = [
  'Ada',
  'Björn',
  'Charlotte',
  'Dmitri',
  'Eunice',
  'Fatima',
  'Grace',
  'Henrietta',
  'Inês',
  'Jo',
];
const lastNames = ['Lovelace', 'Ångström', 'Brontë', 'Mendeleev', 'Foote', 'al-Fihri', 'Hopper', 'Leavitt'];
const cities = ['Lisbon', 'Zürich', 'Kraków', 'Nairobi', 'Osaka', 'Santiago de Chile', 'Oslo'];
const plans = ['free', 'premium', 'team'];

/** Paths of a mailing's files. */
export interface Mailing {
  readonly folder: string;
  readonly campaign: string;
  readonly list: string;
  readonly text: string;
  readonly html: string;
  readonly recipients: number;
  /** Size of the first message. */
  readonly messageBytes: number;
}

/** letter: about 2 KB. newsletter: about 30 KB of HTML as such tools make it: tables, inline styles, a dozen articles. */
export type MailingKind = 'letter' | 'newsletter';

/** Writes campaign, templates and a list of `recipients` rows into a folder of their own inside of `parent`. */
export async function writeMailing(
  parent: string,
  recipients: number,
  kind: MailingKind = 'letter',
): Promise<Mailing> {
  const folder = join(parent, `${kind}-${recipients}`);
  mkdirSync(folder, { recursive: true });
  const mailing = {
    folder,
    campaign: join(folder, 'campaign.yaml'),
    list: join(folder, 'list.csv'),
    text: join(folder, 'letter.txt'),
    html: join(folder, 'letter.html'),
    recipients,
  };
  writeFileSync(mailing.campaign, campaignText);
  writeFileSync(mailing.text, letterText);
  writeFileSync(mailing.html, kind === 'letter' ? letterHtml : makeNewsletter());
  await writeFile(mailing.list, makeListPieces(recipients));
  return { ...mailing, messageBytes: measureMessage(mailing.campaign) };
}

/** In pieces, so that a list of millions fits. */
function* makeListPieces(recipients: number): Generator<string> {
  let piece = `${columns.join(',')}\n`;
  for (let row = 1; row <= recipients; row++) {
    piece += `${makeCells(row).join(',')}\n`;
    if (row % 1000 !== 0 && row < recipients) continue;
    yield piece;
    piece = '';
  }
}

/** Columns come round at different times, so that messages differ. */
function makeCells(row: number): string[] {
  const pick = (from: readonly string[]): string => from[row % from.length] ?? '';
  return [`customer.${row}@mail.example.com`, pick(firstNames), pick(lastNames), pick(cities), pick(plans)];
}

function measureMessage(campaignPath: string): number {
  const { campaign } = loadCampaign(campaignPath);
  const cells = makeCells(1);
  const recipient = { row: 1, line: 2, address: cells[0] ?? '', cells };
  const composed = compileCampaign({ id: 1, campaign, columns }).compose(recipient, Date.UTC(2026, 10, 2));
  if (composed.kind !== 'message')
    throw new Error(`the message of the benchmark is invalid: ${composed.reason}`);
  return composed.message.length;
}

const campaignText = `name: bench
from: Shop <hello@mail.example.com>
replyTo: help@example.com
subject: "{{ first_name }}, spring is here"
text: { file: letter.txt }
html: { file: letter.html }
list: { address: email, format: csv }
`;

const letterText = `Dear {{ first_name }} {{ last_name }},

the days grow longer, and everything in the shop that is green costs a fifth less until
Sunday. Seeds, bulbs and young trees are at the door of our house in {{ city }}.

With the {{ plan }} plan, carriage is ours.

Yours, the gardeners

You get this letter at {{ email }} because you asked for it.
`;

const letterHtml = `<!doctype html>
<html>
<body style="font-family: Georgia, serif; color: #222; max-width: 36em; margin: auto">
<h1 style="color: #2a6f3e">Spring in {{ city }}</h1>
<p>Dear {{ first_name }} {{ last_name }},</p>
<p>the days grow longer, and everything in the shop that is green costs a fifth less until
Sunday. Seeds, bulbs and young trees are at the door of our house in {{ city }}.</p>
<table>
<tr><td>Bulbs</td><td>half price</td></tr>
<tr><td>Seeds</td><td>three for two</td></tr>
</table>
<p>With the <b>{{ plan }}</b> plan, carriage is ours.</p>
<p>Yours, the gardeners</p>
<p><small>You get this letter at {{ email }} because you asked for it.</small></p>
</body>
</html>
`;

function makeNewsletter(): string {
  const articles = Array.from({ length: 18 }, (_, index) => makeArticle(index + 1));
  const marker = '<table>';
  const [before = '', behind = ''] = letterHtml.split(marker);
  return `${before}${articles.join('')}${marker}${behind}`;
}

function makeArticle(number: number): string {
  const style =
    'font-family: Georgia, serif; font-size: 16px; line-height: 24px; color: #222222; padding: 12px 24px';
  const text =
    'The days grow longer, and everything in the shop that is green costs a fifth less until Sunday. Seeds, bulbs and ' +
    'young trees are at the door; whoever comes early has the choice, and whoever comes late has the conversation. ';
  return `<table role="presentation" width="600" cellpadding="0" cellspacing="0" style="border-collapse: collapse">
<tr><td style="${style}"><h2 style="font-size: 22px; margin: 0 0 8px">${number}. What grows now</h2></td></tr>
<tr><td style="${style}"><a href="https://shop.example.com/articles/${number}?from=spring" style="color: #2a6f3e">
<img src="https://shop.example.com/images/${number}.jpg" width="552" height="240" alt="Article ${number}"></a></td></tr>
<tr><td style="${style}"><p style="margin: 0 0 12px">${text.repeat(3)}</p></td></tr>
</table>
`;
}
