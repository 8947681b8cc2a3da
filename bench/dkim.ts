// Measures how much of OpenSSL's own speed is left when messages of 2 KB are signed with DKIM, per second of CPU.
// Run: node bench/dkim.ts [--seconds N] [--rounds N] [--short]
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { parseArgs } from 'node:util';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { invariant } from '../src/base/invariant.ts';
import { compileCampaign } from '../src/compose/compose.ts';
import type { Campaign } from '../src/mail/campaign.ts';
import type { DkimKey } from '../src/sign/key.ts';
import { createSigner, type Signer } from '../src/sign/signer.ts';
import {
  describeLoad,
  describeMachine,
  printLine,
  readCount,
  show,
  showRounds,
  showSamples,
} from './report.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
});
const seconds = readCount('seconds', values.seconds ?? (values.short ? '1' : '3'));
const rounds = readCount('rounds', values.rounds ?? (values.short ? '1' : '7'));

/** Messages that are composed before the clock runs, and signed while it does. */
const messagesPerTurn = 100;
const domain = 'mail.example.com';
const columns = ['email', 'first_name', 'city', 'plan'];
const at = Date.now();

/** The HTML is indented, as people write it: the body needs its relaxed form made. */
const campaign: Campaign = {
  name: 'bench',
  from: { name: 'Shop', address: `hello@${domain}` },
  replyTo: source('help@example.com'),
  reversePath: `bounce@${domain}`,
  subject: source("{{ first_name | default: 'Hello' }}, spring is here"),
  text: source(
    'Dear {{ first_name }},\n\nthe days grow longer, and everything in the shop that is green costs a fifth less\nuntil Sunday. Seeds, bulbs and young trees are at the door of our house in {{ city }}.\n\nWith the {{ plan }} plan, carriage is ours.\n\nYours, the gardeners\n',
  ),
  html: source(`<!doctype html>
<html>
  <body style="font-family: Georgia, serif; color: #222; max-width: 36em; margin: auto">
    <h1 style="color: #2a6f3e">Spring in {{ city }}</h1>
    <p>Dear {{ first_name }},</p>
    <p>
      the days grow longer, and everything in the shop that is green costs a fifth less until
      Sunday. Seeds, bulbs and young trees are at the door of our house in {{ city }}.
    </p>
    <table>
      <tr><td>Bulbs</td><td>half price</td></tr>
      <tr><td>Seeds</td><td>three for two</td></tr>
    </table>
    <p>With the <b>{{ plan }}</b> plan, carriage is ours.</p>
    <p>
      Whoever comes with a friend gets a bag of compost; whoever comes with a child gets a sunflower seed and a
      pot to grow it in. The coffee is ours, too, as long as it lasts.
    </p>
    <p>Yours, the gardeners</p>
    <p><small>You get this letter at {{ email }} because you asked for it.</small></p>
  </body>
</html>
`),
  attachments: [],
  headers: [
    ['List-Unsubscribe', source('<https://example.com/unsubscribe/0123456789abcdef>')],
    ['List-Unsubscribe-Post', source('List-Unsubscribe=One-Click')],
  ],
};

function source(text: string): Campaign['subject'] {
  return { file: 'bench', line: 1, source: text };
}

const composer = compileCampaign({ id: 1, campaign, columns });
let row = 0;

/** As composed: a string of many pieces, which nobody has read yet. */
function composeMessages(count: number): string[] {
  return Array.from({ length: count }, () => {
    row += 1;
    const address = `customer.${row}@mail.example.net`;
    const composed = composer.compose(
      { row, line: row, address, cells: [address, 'Ada', 'Lisbon', 'free'] },
      at,
    );
    invariant(composed.kind === 'message', 'every recipient of the benchmark is valid');
    return composed.message;
  });
}

function makeKey(selector: string, key: KeyObject): DkimKey {
  return { domain, selector, privateKey: String(key.export({ type: 'pkcs8', format: 'pem' })) };
}

const rsaKey = makeKey('rsa', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
const ed25519Key = makeKey('ed25519', generateKeyPairSync('ed25519').privateKey);

/** One algorithm: OpenSSL's name for it and ours. */
interface Contest {
  readonly opensslName: string;
  readonly title: string;
  readonly signer: Signer;
  readonly opensslPerSecond: number[];
  readonly messagesPerSecond: number[];
}

function makeContest(opensslName: string, title: string, keys: readonly DkimKey[]): Contest {
  return { opensslName, title, signer: createSigner(keys), opensslPerSecond: [], messagesPerSecond: [] };
}

const contests = [
  makeContest('rsa2048', 'RSA-2048', [rsaKey]),
  makeContest('ed25519', 'Ed25519', [ed25519Key]),
];
const both = makeContest('', 'both at once', [rsaKey, ed25519Key]);
const nothing = makeContest('', 'all but the operation', []);

for (const { signer } of [...contests, both]) await checkSignatures(signer);
// The compiler needs some.
for (const { signer } of [...contests, both, nothing]) measureSigner(signer, 0.5);
// Taking turns, so that whatever else the machine does falls on all of them.
for (let round = 0; round < rounds; round++) {
  for (const { opensslName, signer, opensslPerSecond, messagesPerSecond } of contests) {
    opensslPerSecond.push(measureOpenssl(opensslName));
    messagesPerSecond.push(measureSigner(signer, seconds));
  }
  both.messagesPerSecond.push(measureSigner(both.signer, seconds));
  nothing.messagesPerSecond.push(measureSigner(nothing.signer, 1));
}
printReport();

/** What mailauth verifies of a few messages must pass. */
async function checkSignatures(signer: Signer): Promise<void> {
  for (const message of composeMessages(5)) {
    const signed = Buffer.from(signer.sign(message, at) + message, 'latin1');
    const { results } = await dkimVerify(signed, {
      strict: true,
      resolver: (name) => Promise.resolve([[recordOf(name)]]),
    });
    assert.ok(results.length > 0);
    for (const { status } of results) assert.equal(status.result, 'pass', String(status.comment));
  }
}

function recordOf(name: string): string {
  const isRsa = name.startsWith('rsa.');
  const info = createPublicKey((isRsa ? rsaKey : ed25519Key).privateKey).export({
    type: 'spki',
    format: 'der',
  });
  return `v=DKIM1; k=${isRsa ? 'rsa' : 'ed25519'}; p=${(isRsa ? info : info.subarray(-32)).toString('base64')}`;
}

/** Messages signed per second of this process's CPU time, its other threads included; composing does not count. */
function measureSigner(signer: Signer, forSeconds: number): number {
  let cpuUs = 0;
  let count = 0;
  while (cpuUs < forSeconds * 1e6) {
    const messages = composeMessages(messagesPerTurn);
    const before = process.cpuUsage();
    for (const message of messages) readString(signer.sign(message, at) + message);
    const { user, system } = process.cpuUsage(before);
    cpuUs += user + system;
    count += messages.length;
  }
  return (count / cpuUs) * 1e6;
}

/** A string of many pieces is only put together when it is read: that belongs to the price. */
function readString(text: string): number {
  return text.charCodeAt(0);
}

/** Signatures per second of CPU time, by `openssl speed`. */
function measureOpenssl(name: string): number {
  const { status, stdout, stderr } = spawnSync(
    'openssl',
    ['speed', '-mr', '-seconds', String(seconds), name],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(`openssl speed ended with ${String(status)}: ${stderr}`);
  // "+F2:2:2048:1119.7:38767.9" and "+F6:0:253:Ed25519:14672.0:5871.4": signatures first, then verifications.
  const [, perSecond] = /^\+F[26]:\d+:\d+:(?:Ed25519:)?([\d.]+):/m.exec(stdout) ?? [];
  if (perSecond === undefined) throw new Error(`openssl speed has changed what it prints:\n${stdout}`);
  return Number(perSecond);
}

function opensslVersion(): string {
  return spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout.split(' ').slice(0, 2).join(' ');
}

function printReport(): void {
  const inside = `OpenSSL ${process.versions['openssl']} in Node`;
  process.stdout.write(`${describeMachine()}, ${opensslVersion()}, ${inside}, ${describeLoad()}\n`);
  process.stdout.write(
    `messages of ${show(composeMessages(1)[0]?.length ?? 0)} bytes; ${seconds} s of CPU time each; ` +
      `${showRounds(rounds)}; median (lowest–highest)\n`,
  );
  for (const { opensslName, title, opensslPerSecond, messagesPerSecond } of contests) {
    printLine(`openssl ${opensslName}, signatures/s`, showSamples(opensslPerSecond));
    printLine(`posthaste ${title}, messages/s`, showSamples(messagesPerSecond));
    const ratios = messagesPerSecond.map((rate, round) => rate / (opensslPerSecond[round] ?? Number.NaN));
    printLine(`ratio ${title}`, showSamples(ratios, 2));
  }
  printLine('posthaste both, messages/s', showSamples(both.messagesPerSecond));
  printLine(
    `${nothing.title}, µs/message`,
    showSamples(
      nothing.messagesPerSecond.map((rate) => 1e6 / rate),
      1,
    ),
  );
}
