// What a relay refuses costs the recipient whose turn it was, and nobody else: MAIL, RCPT, DATA and the end of data.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFault } from '../../../src/sandbox/fault_text.ts';
import type { SandboxOptions } from '../../../src/sandbox/options.ts';
import type { SendingMode } from '../../../src/smtp/dialogue.ts';
import { modes, openSandbox } from './bench.ts';
import { duel, numbered, type Duelled } from './duel.ts';

/** Sends 1 to 4 over one session of a sandbox with these faults. */
function sendFour(mode: SendingMode, faults: readonly string[], more: SandboxOptions = {}): Duelled {
  const transactions = [1, 2, 3, 4].map((number) => numbered(number));
  return duel({ mode, transactions, sandbox: { faults: faults.map(parseFault), ...more } });
}

function outcomesOf({ settled }: Duelled): string {
  return settled.map((one) => `${one.transaction.number} ${one.kind}`).join(', ');
}

function takenBy({ messages }: Duelled): string {
  return messages.map((message) => message.recipients.join('+').replace(/@b\.example/g, '')).join(' ');
}

const table: readonly {
  readonly fact: string;
  readonly faults: readonly string[];
  readonly outcomes: string;
  readonly taken: string;
}[] = [
  {
    fact: 'F16: 4yz to MAIL defers its own recipient, and the replies of its group are read away',
    faults: ['mail every 2 first: 451 4.3.0 busy'],
    outcomes: '1 accepted, 2 deferred, 3 accepted, 4 accepted',
    taken: 'r1 r3 r4',
  },
  {
    fact: 'F16: 5yz to MAIL rejects its own recipient and is not remembered for the next',
    faults: ['mail every 3 first: 553 5.1.8 your domain does not exist'],
    outcomes: '1 accepted, 2 accepted, 3 rejected, 4 accepted',
    taken: 'r1 r2 r4',
  },
  {
    fact: 'F18: 550 to one RCPT of many rejects that recipient and the others go on',
    faults: ['rcpt r2@: 550 5.1.1 no such user'],
    outcomes: '1 accepted, 2 rejected, 3 accepted, 4 accepted',
    taken: 'r1 r3 r4',
  },
  {
    fact: 'F19: 451 to RCPT defers',
    faults: ['rcpt r1@: 451 4.7.1 greylisted', 'rcpt r4@: 450 4.2.1 busy'],
    outcomes: '1 deferred, 2 accepted, 3 accepted, 4 deferred',
    taken: 'r2 r3',
  },
  {
    fact: 'F18: every RCPT refused: nothing is taken, nothing accepted',
    faults: ['rcpt: 550 5.1.1 no such user'],
    outcomes: '1 rejected, 2 rejected, 3 rejected, 4 rejected',
    taken: '',
  },
  {
    fact: 'F26: 4yz to the end of data defers, also between others',
    faults: ['end r2@: 451 4.3.0 later', 'end r3@: 450 4.2.0 later'],
    outcomes: '1 accepted, 2 deferred, 3 deferred, 4 accepted',
    taken: 'r1 r4',
  },
  {
    fact: 'F27: 5yz to the end of data rejects',
    faults: ['end r2@: 554 5.7.1 looks like spam'],
    outcomes: '1 accepted, 2 rejected, 3 accepted, 4 accepted',
    taken: 'r1 r3 r4',
  },
];

for (const { fact, faults, outcomes, taken } of table) {
  for (const mode of modes) {
    test(`${fact} (${mode})`, () => {
      const duelled = sendFour(mode, faults);
      assert.equal(outcomesOf(duelled), outcomes);
      assert.equal(takenBy(duelled), taken);
      assert.equal(duelled.failure, undefined);
    });
  }
}

for (const mode of ['off', 'standard'] as const) {
  test(`F24: a refused DATA is followed by RSET, and the next message goes out whole (${mode})`, () => {
    const duelled = sendFour(mode, ['data r2@: 451 4.3.0 later', 'data r3@: 554 5.7.1 no']);
    assert.equal(outcomesOf(duelled), '1 accepted, 2 deferred, 3 rejected, 4 accepted');
    assert.equal(takenBy(duelled), 'r1 r4');
    assert.equal(duelled.wire.split('RSET\r\n').length - 1, 2);
  });
}

test('F23: DATA that gets 354 behind a refused RCPT is ended with a lone dot, and nobody is sent to', () => {
  const duelled = sendFour('standard', ['rcpt r2@: 550 5.1.1 no such user', 'data: 354 go on']);
  assert.equal(outcomesOf(duelled), '1 accepted, 2 rejected, 3 accepted, 4 accepted');
  assert.equal(takenBy(duelled), 'r1 r3 r4');
  assert.match(duelled.wire, /RCPT TO:<r2@b\.example>\r\nDATA\r\n\.\r\n/);
});

test('F22: 421 to RCPT ends the session; who was accepted stays, who was not yet sent is not charged', () => {
  for (const [mode, outcomes] of [
    ['off', '1 accepted, 2 deferred'],
    ['standard', '1 accepted, 2 deferred'],
    ['deep', '1 accepted, 2 deferred, 3 unsent'],
  ] as const) {
    const duelled = sendFour(mode, ['rcpt r2@: 421 shutting down']);
    assert.equal(outcomesOf(duelled), outcomes, mode);
    assert.equal(takenBy(duelled), 'r1');
  }
});

test('F28: 421 to the end of data is a 4yz: not taken, and the one behind it was not sent', () => {
  for (const mode of modes) {
    const duelled = sendFour(mode, ['end r2@: 421 shutting down']);
    assert.match(outcomesOf(duelled), /^1 accepted, 2 deferred(, 3 unsent)?$/, mode);
    assert.equal(takenBy(duelled), 'r1');
  }
});

test('F25: DATA answered with another 3yz is an invitation, too', () => {
  for (const mode of ['off', 'standard'] as const) {
    assert.equal(
      outcomesOf(sendFour(mode, ['data: 355 come on'])),
      '1 accepted, 2 accepted, 3 accepted, 4 accepted',
    );
  }
});

test('F25: DATA answered with 2yz ends the session before any content', () => {
  for (const mode of ['off', 'standard'] as const) {
    for (const reply of ['250 ok', '200 hm']) {
      const duelled = sendFour(mode, [`data r2@: garbage ${reply}\\r\\n`]);
      // Whoever answers DATA with 2yz has lost count, and nobody knows since when.
      assert.equal(outcomesOf(duelled), `1 ${mode === 'off' ? 'accepted' : 'inDoubt'}, 2 deferred`);
      assert.equal(duelled.failure?.kind, 'garbled');
      assert.ok(!duelled.wire.includes('Subject: 2'));
    }
  }
});

test('F17: a message over SIZE is refused at MAIL, and its content is not transferred outside deep', () => {
  const transactions = [
    numbered(1),
    numbered(2, `Subject: 2\r\n\r\n${'x'.repeat(70)}\r\n`.repeat(40)),
    numbered(3),
  ];
  for (const mode of modes) {
    const duelled = duel({ mode, transactions, sandbox: { sizeLimitBytes: 1000 } });
    assert.equal(outcomesOf(duelled), '1 accepted, 2 rejected, 3 accepted', mode);
    assert.equal(duelled.wire.includes('Subject: 2'), mode === 'deep');
  }
});

test('F19: the second attempt at a greylisted recipient has the same reverse-path and is taken', async (context) => {
  const greylist = 'rcpt first per reverse-path: 451 4.7.1 greylisted, try later';
  const { work, send, sandbox } = await openSandbox(context, 'standard', [greylist]);
  await send(1, 2);
  assert.equal(work.outcomes(), '1 deferred, 2 deferred');
  await send(1, 2);
  assert.equal(work.settled.filter((one) => one.kind === 'accepted').length, 2);
  assert.deepEqual(
    sandbox.messages().map((message) => message.recipients[0]),
    ['r1@b.example', 'r2@b.example'],
  );
});

test('F20: 452 to RCPT is never for good', () => {
  for (const mode of modes) {
    const { settled } = sendFour(mode, ['rcpt every 3: 452 4.5.3 too many recipients']);
    assert.ok(settled[2]?.kind === 'deferred' || settled[2]?.kind === 'unsent', mode);
  }
});

test('F41: a session is rotated before a relay that counts errors loses its patience', async (context) => {
  for (const mode of modes) {
    // Postfix hangs up at the twentieth error in a row; here nobody may come so far.
    const { work, send, sandbox } = await openSandbox(context, mode, ['rcpt: 550 5.1.1 no such user']);
    await send(...Array.from({ length: 40 }, (_, index) => index + 1));
    assert.equal(work.settled.filter((one) => one.kind === 'rejected').length, 40);
    const { refused, connections } = sandbox.stats();
    const errors = Object.values(refused).reduce((sum, count) => sum + count, 0);
    assert.ok(errors / connections < 20, `${mode}: ${errors} errors over ${connections} sessions`);
  }
});

test('F42: no RSET before the first message, nor after an accepted one', () => {
  for (const mode of ['off', 'standard'] as const) assert.ok(!sendFour(mode, []).wire.includes('RSET'));
  assert.ok(!sendFour('deep', []).wire.startsWith('RSET'));
});
