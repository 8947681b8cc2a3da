// What goes over the wire: whatever a list holds and a relay answers, it is legal SMTP and the message octet for octet.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compileCampaign } from '../../../src/compose/compose.ts';
import { parseFault } from '../../../src/sandbox/fault_text.ts';
import { parseExtensions } from '../../../src/sandbox/extensions.ts';
import type { SendingMode } from '../../../src/smtp/dialogue.ts';
import { at, hostileText, planOf, recipientOf, templateOf } from '../../compose/campaigns.ts';
import { openSandbox } from './bench.ts';
import { duel, numbered, octetByOctet, type Duelled, type Numbered } from './duel.ts';

const mode = fc.constantFrom<SendingMode>('off', 'standard', 'deep');

/** Composes the real thing of a hostile value, or nothing where that is refused. */
function compose(number: number, value: string): Numbered | undefined {
  const composer = compileCampaign(
    planOf(['v'], {
      subject: templateOf('{{ v }}'),
      text: templateOf('.\n{{ v }}\n.{{ v }}\n'),
      html: templateOf('<p>{{ v }}</p>\n.\n'),
    }),
  );
  const composed = composer.compose(recipientOf([value]), at);
  return composed.kind === 'message' ? numbered(number, composed.message) : undefined;
}

/** Our own look at the octets, besides the sandbox's. */
function assertLegal({ wire, stats }: Duelled): void {
  assert.doesNotMatch(wire, /(?<!\r)\n|\r(?!\n)/, 'a bare CR or LF');
  assert.match(wire, /^[\t\r\n -~]*$/, 'an octet beyond ASCII');
  assert.ok(wire.split('\r\n').every((line) => line.length <= 998));
  for (const command of wire.match(/^(?:MAIL|RCPT|BDAT|DATA|RSET|QUIT).*$/gm) ?? [])
    assert.ok(command.length <= 510, command);
  assert.deepEqual(
    Object.entries(stats.violations).filter(([, count]) => count > 0),
    [],
  );
}

test('F43, F45, F46: no value of a list becomes protocol: one end of data each, no bare CR or LF, no long line', () => {
  fc.assert(
    fc.property(
      mode,
      fc.array(hostileText, { minLength: 1, maxLength: 4 }),
      fc.subarray([
        'rcpt every 3: 550 5.1.1 who',
        'end every 2: 451 4.3.0 later',
        'mail every 3: 451 x',
        'end r2@: drop',
      ]),
      fc.boolean(),
      (one, values, faults, slowly) => {
        const transactions = values
          .map((value, index) => compose(index + 1, value))
          .filter((each) => each !== undefined);
        const sandbox = { faults: faults.map(parseFault) };
        const cut = slowly ? { cutOutput: octetByOctet } : {};
        const duelled = duel({ mode: one, transactions, sandbox, ...cut });
        assertLegal(duelled);
        for (const { data, recipients, chunked } of duelled.messages) {
          const sent = transactions.find(({ rcpt }) => rcpt.includes(`<${recipients[0]}>`));
          assert.equal(data.toString('latin1'), sent?.content);
          assert.equal(chunked, one === 'deep');
        }
      },
    ),
    { numRuns: 150 },
  );
});

const crlf = '\r\n';

test('F46: sequences that smuggle a second message through sloppy relays do not leave us', () => {
  const smuggler = 'MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx';
  for (const end of [
    '\n.\n',
    '\n.\r\n',
    '\r.\r\n',
    '\r\n.\r',
    '\r.\r',
    '\r\n\0.\r\n',
    '\n.\r',
    '\r\n.\n',
    '\r\n.\r\n',
  ]) {
    const transaction = compose(1, `before${end}${smuggler}${end}after`);
    assert.ok(transaction !== undefined);
    for (const one of ['off', 'standard', 'deep'] as const) {
      const duelled = duel({ mode: one, transactions: [transaction, numbered(2)] });
      assertLegal(duelled);
      assert.equal(duelled.messages.length, 2);
      assert.equal(duelled.wire.split(`${crlf}.${crlf}`).length - 1, one === 'deep' ? 0 : 2);
    }
  }
});

test('F47: content of nothing, of one line and of many ends where it ends, by DATA and by BDAT', () => {
  for (const one of ['off', 'standard', 'deep'] as const) {
    const contents = ['', '\r\n', 'x\r\n', '\r\n\r\n', `a: b\r\n\r\n${'line\r\n'.repeat(500)}`];
    const transactions = contents.map((content, index) => numbered(index + 1, content));
    const duelled = duel({ mode: one, transactions, cutOutput: octetByOctet });
    assertLegal(duelled);
    assert.deepEqual(
      duelled.messages.map((message) => message.data.toString()),
      contents,
    );
  }
});

test('F47: dots at the beginning of a line of the list arrive as they are, by DATA and by BDAT', () => {
  const dots = ['.', '..', '.\n.', 'a\n.b', '.'.repeat(300), '\n.\n'];
  for (const one of ['off', 'standard', 'deep'] as const) {
    const transactions = dots
      .map((value, index) => compose(index + 1, value))
      .filter((each) => each !== undefined);
    assert.equal(transactions.length, dots.length);
    const duelled = duel({ mode: one, transactions });
    assertLegal(duelled);
    // The contract of a transaction: no line begins with a dot, so nothing had to be stuffed.
    for (const { content } of transactions) assert.doesNotMatch(content, /^\./m);
    assert.deepEqual(
      duelled.messages.map((message) => message.data.toString()),
      transactions.map(({ content }) => content),
    );
  }
});

test('BDAT says exactly how many octets follow it', () => {
  const transactions = [
    numbered(1, ''),
    numbered(2, 'x\r\n'),
    numbered(3, 'y'.repeat(997).concat('\r\n').repeat(70)),
  ];
  const { wire } = duel({ mode: 'deep', transactions });
  let at = 0;
  for (const { content } of transactions) {
    const head = /BDAT (\d+) LAST\r\n/g;
    head.lastIndex = at;
    const match = head.exec(wire);
    assert.equal(match?.[1], String(content.length));
    at = head.lastIndex + content.length;
    assert.equal(wire.slice(head.lastIndex, at), content);
    assert.match(wire.slice(at, at + 6), /^(RSET\r\n|MAIL F|)$/);
  }
});

test('F49: nothing is sent that EHLO did not offer, whatever mode is wished for', async (context) => {
  for (const offered of [
    'none',
    'PIPELINING',
    'CHUNKING',
    'SIZE,8BITMIME,DSN',
    '-PIPELINING',
    '-CHUNKING',
    'all',
  ]) {
    const extensions = parseExtensions(offered);
    const faults = ['rcpt r2@: 550 5.1.1 who', 'end r4@: 451 4.3.0 later'];
    const { work, sendAll, sandbox } = await openSandbox(context, 'deep', faults, { extensions });
    const transactions = [1, 2, 3, 4, 5].map((number) => numbered(number));
    const plain = transactions.map((one) => ({ ...one, mail: one.mail.replace(/ SIZE=\d+/, '') }));
    await sendAll(extensions.includes('SIZE') ? transactions : plain);
    assert.equal(work.outcomes(), '1 accepted, 2 rejected, 3 accepted, 4 deferred, 5 accepted', offered);
    // That none was violated is asserted when the sandbox ends.
    const isDeep = extensions.includes('CHUNKING') && extensions.includes('PIPELINING');
    assert.ok(sandbox.messages().every((message) => message.chunked === isDeep));
  }
});
