import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { makeReply } from '../../src/mail/reply.ts';
import { Dialogue, type SendingMode, type Transaction } from '../../src/smtp/dialogue.ts';

interface Named extends Transaction {
  readonly name: string;
}

function transaction(name: string): Named {
  return {
    name,
    mail: `MAIL FROM:<from@a.example>\r\n`,
    rcpt: `RCPT TO:<${name}@b.example>\r\n`,
    content: `Subject: ${name}\r\n\r\nbody of ${name}\r\n`,
  };
}

/** Plays a script: '>' lines are what the dialogue must write, '<' lines are replies. Returns what was settled. */
function play(
  mode: SendingMode,
  names: string[],
  script: string[],
): { settled: string[]; dialogue: Dialogue<Named> } {
  const dialogue = new Dialogue<Named>(mode);
  dialogue.setWindow(3);
  const waiting = [...names];
  const settled: string[] = [];
  const pump = (): string => {
    for (const one of dialogue.takeSettled())
      settled.push(`${one.transaction.name} ${one.kind} ${one.verdict.stage}`);
    while (dialogue.hasRoom && waiting.length > 0) dialogue.begin(transaction(waiting.shift() ?? ''));
    return dialogue.takeOutput();
  };
  let written = pump();
  for (const step of script) {
    if (step.startsWith('<')) {
      assert.equal(written, '', `unexpected output before ${step}`);
      const [code = '', ...text] = step.slice(1).trim().split(' ');
      dialogue.receive(makeReply(Number(code), text.join(' ')));
      written = pump();
    } else {
      assert.equal(written, step.slice(1).trim().replaceAll('|', '\r\n'));
      written = '';
    }
  }
  assert.equal(written, '', 'output that the script did not expect');
  return { settled, dialogue };
}

const mail = 'MAIL FROM:<from@a.example>|';
const rcpt = (name: string): string => `RCPT TO:<${name}@b.example>|`;
const content = (name: string): string => `Subject: ${name}||body of ${name}|.|`;
const group = (name: string): string => `${mail}${rcpt(name)}DATA|`;

test('lock-step sends one command at a time', () => {
  const { settled } = play(
    'off',
    ['a', 'b'],
    [
      `> ${mail}`,
      '< 250 ok',
      `> ${rcpt('a')}`,
      '< 250 ok',
      '> DATA|',
      '< 354 go',
      `> ${content('a')}`,
      '< 250 taken',
      `> ${mail}`,
      '< 250 ok',
      `> ${rcpt('b')}`,
      '< 250 ok',
      '> DATA|',
      '< 354 go',
      `> ${content('b')}`,
      '< 250 taken',
    ],
  );
  assert.deepEqual(settled, ['a accepted end', 'b accepted end']);
});

test('standard sends the end of a message and the next envelope in one write', () => {
  const { settled } = play(
    'standard',
    ['a', 'b'],
    [
      `> ${group('a')}`,
      '< 250 ok',
      '< 250 ok',
      '< 354 go',
      `> ${content('a')}${group('b')}`,
      '< 250 taken',
      '< 250 ok',
      '< 250 ok',
      '< 354 go',
      `> ${content('b')}`,
      '< 250 taken',
    ],
  );
  assert.deepEqual(settled, ['a accepted end', 'b accepted end']);
});

test('a refused recipient is followed by RSET, because MAIL is still in force', () => {
  const standard = play(
    'standard',
    ['a', 'b'],
    [
      `> ${group('a')}`,
      '< 250 ok',
      '< 550 5.1.1 who',
      '< 554 no valid recipients',
      `> RSET|${group('b')}`,
      '< 250 reset',
      '< 250 ok',
      '< 250 ok',
      '< 354 go',
      `> ${content('b')}`,
      '< 250 taken',
    ],
  );
  assert.deepEqual(standard.settled, ['a rejected rcpt', 'b accepted end']);
  const lockStep = play(
    'off',
    ['a', 'b'],
    [
      `> ${mail}`,
      '< 250 ok',
      `> ${rcpt('a')}`,
      '< 450 4.2.0 later',
      '> RSET|',
      '< 250 reset',
      `> ${mail}`,
      '< 250 ok',
      `> ${rcpt('b')}`,
      '< 250 ok',
      '> DATA|',
      '< 354 go',
      `> ${content('b')}`,
      '< 250 ok',
    ],
  );
  assert.deepEqual(lockStep.settled, ['a deferred rcpt', 'b accepted end']);
});

test('a 354 behind a refused recipient gets a lone dot, and its answer counts for nothing', () => {
  const { settled } = play(
    'standard',
    ['a', 'b'],
    [
      `> ${group('a')}`,
      '< 250 ok',
      '< 550 5.1.1 who',
      '< 354 go',
      `> .|${group('b')}`,
      '< 250 taken',
      '< 250 ok',
      '< 250 ok',
      '< 354 go',
      `> ${content('b')}`,
      '< 250 taken',
    ],
  );
  assert.deepEqual(settled, ['a rejected rcpt', 'b accepted end']);
});

test('a refused MAIL settles its own recipient; the replies of its group are read and dropped', () => {
  const { settled } = play(
    'standard',
    ['a', 'b'],
    [
      `> ${group('a')}`,
      '< 451 4.3.0 busy',
      '< 503 no mail',
      '< 503 no rcpt',
      `> ${group('b')}`,
      '< 250 ok',
      '< 250 ok',
      '< 354 go',
      `> ${content('b')}`,
      '< 250 taken',
    ],
  );
  assert.deepEqual(settled, ['a deferred mail', 'b accepted end']);
});

test('the reply to the end of data decides: 4yz deferred, 5yz rejected', () => {
  const { settled } = play(
    'standard',
    ['a', 'b', 'c'],
    [
      `> ${group('a')}`,
      '< 250 ok',
      '< 250 ok',
      '< 354 go',
      `> ${content('a')}${group('b')}`,
      '< 451 4.3.0 later',
      '< 250 ok',
      '< 250 ok',
      '< 354 go',
      `> ${content('b')}${group('c')}`,
      '< 554 5.7.1 spam',
      '< 250 ok',
      '< 250 ok',
      '< 354 go',
      `> ${content('c')}`,
      '< 250 taken',
    ],
  );
  assert.deepEqual(settled, ['a deferred end', 'b rejected end', 'c accepted end']);
});

test('421 to RCPT ends the session: its recipient is deferred, nothing more is begun', () => {
  const { dialogue } = play('standard', ['a', 'b'], [`> ${group('a')}`, '< 250 ok', '< 421 closing']);
  assert.equal(dialogue.closing?.kind, 'closed');
  assert.equal(dialogue.hasRoom, false);
  dialogue.close({ kind: 'closed', text: 'gone' });
  assert.deepEqual(
    dialogue.takeSettled().map((one) => one.kind),
    ['deferred'],
  );
});

test('421 to MAIL is the relay’s trouble: no attempt is charged', () => {
  const { dialogue } = play('standard', ['a'], [`> ${group('a')}`, '< 421 4.7.0 too many messages']);
  dialogue.close({ kind: 'closed', text: 'gone' });
  assert.deepEqual(
    dialogue.takeSettled().map((one) => one.kind),
    ['unsent'],
  );
});

test('a drop after the end of data leaves that recipient in doubt, and the one behind it unsent', () => {
  const { dialogue } = play(
    'standard',
    ['a', 'b'],
    [`> ${group('a')}`, '< 250 ok', '< 250 ok', '< 354 go', `> ${content('a')}${group('b')}`],
  );
  dialogue.close({ kind: 'closed', text: 'reset by peer' });
  assert.deepEqual(
    dialogue.takeSettled().map((one) => [one.transaction.name, one.kind, one.verdict.category]),
    [
      ['a', 'inDoubt', 'network'],
      ['b', 'unsent', 'network'],
    ],
  );
});

test('a drop before the content costs the recipient whose turn it was one attempt', () => {
  const { dialogue } = play('standard', ['a'], [`> ${group('a')}`, '< 250 ok']);
  dialogue.close({ kind: 'closed', text: 'reset by peer' });
  assert.deepEqual(
    dialogue.takeSettled().map((one) => one.kind),
    ['deferred'],
  );
});

test('a reply that nothing asked for poisons the session', () => {
  const { dialogue } = play('standard', [], ['< 250 hello']);
  assert.equal(dialogue.closing?.kind, 'garbled');
});

test('421 on an idle session closes it and touches nobody', () => {
  const { dialogue, settled } = play('standard', [], ['< 421 4.4.2 idle for too long']);
  assert.equal(dialogue.closing?.kind, 'closed');
  assert.deepEqual(settled, []);
});

for (const reply of ['< 250 what', '< 200 eh']) {
  test(`${reply} to DATA poisons the session; the message was not sent`, () => {
    const { dialogue } = play('standard', ['a'], [`> ${group('a')}`, '< 250 ok', '< 250 ok', reply]);
    assert.equal(dialogue.closing?.kind, 'garbled');
    dialogue.close({ kind: 'garbled', text: 'poisoned' });
    assert.deepEqual(
      dialogue.takeSettled().map((one) => one.kind),
      ['deferred'],
    );
  });
}

test('3yz to the end of data tells nothing of the message: in doubt', () => {
  const { dialogue } = play(
    'off',
    ['a'],
    [
      `> ${mail}`,
      '< 250 ok',
      `> ${rcpt('a')}`,
      '< 250 ok',
      '> DATA|',
      '< 354 go',
      `> ${content('a')}`,
      '< 354 go on',
    ],
  );
  assert.equal(dialogue.closing?.kind, 'garbled');
  dialogue.close({ kind: 'garbled', text: 'poisoned' });
  assert.deepEqual(
    dialogue.takeSettled().map((one) => one.kind),
    ['inDoubt'],
  );
});

test('whatever the relay answers, every transaction that was begun is settled exactly once, in order', () => {
  const code = fc.constantFrom(200, 221, 250, 250, 250, 354, 354, 421, 450, 452, 503, 550, 554);
  fc.assert(
    fc.property(
      fc.constantFrom<SendingMode>('off', 'standard', 'deep'),
      fc.array(code, { maxLength: 60 }),
      (mode, codes) => {
        const dialogue = new Dialogue<Named>(mode);
        dialogue.setWindow(4);
        dialogue.setWindow(4);
        const settled: string[] = [];
        let begun = 0;
        for (const one of [...codes, 0]) {
          while (dialogue.hasRoom) dialogue.begin(transaction(String(begun++)));
          dialogue.takeOutput();
          if (one === 0 || dialogue.closing !== undefined) dialogue.close({ kind: 'closed', text: 'over' });
          else dialogue.receive(makeReply(one, 'text'));
          for (const each of dialogue.takeSettled()) settled.push(each.transaction.name);
          if (dialogue.closing !== undefined && dialogue.idle) break;
        }
        dialogue.close({ kind: 'closed', text: 'over' });
        for (const each of dialogue.takeSettled()) settled.push(each.transaction.name);
        assert.deepEqual(
          settled,
          Array.from({ length: begun }, (_, index) => String(index)),
        );
      },
    ),
  );
});

test('accepted is said only where 2yz answered this message’s own end of data', () => {
  const code = fc.constantFrom(250, 250, 250, 354, 354, 450, 550, 554);
  fc.assert(
    fc.property(fc.array(code, { maxLength: 80 }), (codes) => {
      // An independent model of a relay that answers each command of the wire in order.
      const dialogue = new Dialogue<Named>('standard');
      const outstanding: string[] = [];
      const taken: string[] = [];
      const accepted: string[] = [];
      let begun = 0;
      let mailTaken = false;
      const flush = (): void => {
        while (dialogue.hasRoom) dialogue.begin(transaction(String(begun++)));
        for (const line of dialogue.takeOutput().split('\r\n')) {
          if (line.startsWith('Subject: ')) outstanding.push(`content ${line.slice(9)}`);
          else if (/^(MAIL|RCPT|DATA|RSET)/.test(line)) outstanding.push(line);
          else if (line === '.' && !outstanding.at(-1)?.startsWith('content')) outstanding.push('dot');
        }
      };
      flush();
      for (const one of codes) {
        const command = outstanding.shift();
        if (command === undefined || dialogue.closing !== undefined) break;
        const reply: number =
          command.startsWith('RCPT') && !mailTaken
            ? 503
            : command === 'RSET' || command === 'dot'
              ? 250
              : command !== 'DATA' && one === 354
                ? 250
                : command === 'DATA' && one === 250
                  ? 354
                  : one;
        if (command.startsWith('MAIL')) mailTaken = reply === 250;
        if (command.startsWith('content') && reply === 250) taken.push(command.slice(8));
        dialogue.receive(makeReply(reply, 'text'));
        for (const each of dialogue.takeSettled())
          if (each.kind === 'accepted') accepted.push(each.transaction.name);
        flush();
      }
      // What was not confirmed yet is told now.
      dialogue.close({ kind: 'closed', text: 'the end' });
      for (const each of dialogue.takeSettled())
        if (each.kind === 'accepted') accepted.push(each.transaction.name);
      assert.deepEqual(accepted, taken);
    }),
  );
});

/** A whole transaction as deep writes it. */
const whole = (name: string): string => {
  const body = `Subject: ${name}\r\n\r\nbody of ${name}\r\n`;
  return `${mail}${rcpt(name)}BDAT ${body.length} LAST|${body.replaceAll('\r\n', '|')}`;
};

test('deep puts a window of whole transactions on the wire, each but the first behind a RSET', () => {
  const { settled } = play(
    'deep',
    ['a', 'b', 'c', 'd'],
    [
      `> ${whole('a')}RSET|${whole('b')}RSET|${whole('c')}`,
      '< 250 ok',
      '< 250 ok',
      '< 250 taken',
      `> RSET|${whole('d')}`,
      ...['b', 'c', 'd'].flatMap(() => ['< 250 reset', '< 250 ok', '< 250 ok', '< 250 taken']),
    ],
  );
  assert.deepEqual(settled, ['a accepted end', 'b accepted end', 'c accepted end', 'd accepted end']);
});

test('a refused recipient in the middle of a deep window costs only itself', () => {
  const { settled } = play(
    'deep',
    ['a', 'b', 'c'],
    [
      `> ${whole('a')}RSET|${whole('b')}RSET|${whole('c')}`,
      '< 250 ok',
      '< 250 ok',
      '< 250 taken',
      '< 250 reset',
      '< 250 ok',
      '< 550 5.1.1 who',
      '< 554 5.5.1 no valid recipients',
      '< 250 reset',
      '< 250 ok',
      '< 250 ok',
      '< 250 taken',
    ],
  );
  assert.deepEqual(settled, ['a accepted end', 'b rejected rcpt', 'c accepted end']);
});

test('after a failed BDAT that was the last of its window, the next transaction begins with RSET', () => {
  const { settled, dialogue } = play(
    'deep',
    ['a'],
    [`> ${whole('a')}`, '< 250 ok', '< 250 ok', '< 450 4.2.0 later'],
  );
  assert.deepEqual(settled, ['a deferred end']);
  dialogue.begin(transaction('b'));
  assert.match(dialogue.takeOutput(), /^RSET\r\nMAIL/);
});

test('a MAIL refused as nested poisons a deep session: nothing behind it may be believed', () => {
  const { dialogue, settled } = play(
    'deep',
    ['a', 'b', 'c'],
    [
      `> ${whole('a')}RSET|${whole('b')}RSET|${whole('c')}`,
      '< 250 ok',
      '< 250 ok',
      '< 554 5.6.0 no',
      '< 250 reset',
      '< 503 5.5.1 nested MAIL command',
    ],
  );
  assert.deepEqual(settled, ['a rejected end']);
  assert.equal(dialogue.closing?.kind, 'garbled');
  dialogue.close({ kind: 'garbled', text: 'poisoned' });
  assert.deepEqual(
    dialogue.takeSettled().map((one) => [one.transaction.name, one.kind]),
    [
      ['b', 'inDoubt'],
      ['c', 'inDoubt'],
    ],
  );
});

test('a drop leaves a whole deep window in doubt, but for those that were refused already', () => {
  const { dialogue } = play(
    'deep',
    ['a', 'b', 'c'],
    [`> ${whole('a')}RSET|${whole('b')}RSET|${whole('c')}`, '< 250 ok', '< 550 5.1.1 who'],
  );
  dialogue.close({ kind: 'closed', text: 'reset by peer' });
  assert.deepEqual(
    dialogue.takeSettled().map((one) => [one.transaction.name, one.kind]),
    [
      ['a', 'rejected'],
      ['b', 'inDoubt'],
      ['c', 'inDoubt'],
    ],
  );
});

test('a relay that has said 421 works on nothing more: what stands behind in the window was not sent', () => {
  const { dialogue, settled } = play(
    'deep',
    ['a', 'b', 'c'],
    [`> ${whole('a')}RSET|${whole('b')}RSET|${whole('c')}`, '< 250 ok', '< 250 ok', '< 421 shutting down'],
  );
  dialogue.close({ kind: 'closed', text: 'gone' });
  assert.deepEqual(settled, ['a deferred end']);
  assert.deepEqual(
    dialogue.takeSettled().map((one) => one.kind),
    ['unsent', 'unsent'],
  );
});

test('silence in the middle of a group charges nobody; in lock-step it does', () => {
  for (const [mode, script, expected] of [
    ['standard', [`> ${group('a')}`, '< 250 ok'], 'unsent'],
    ['off', [`> ${mail}`, '< 250 ok', `> ${rcpt('a')}`], 'deferred'],
  ] as const) {
    const { dialogue } = play(mode, ['a'], [...script]);
    dialogue.close({ kind: 'timeout', text: 'no reply' });
    assert.deepEqual(
      dialogue.takeSettled().map((one) => one.kind),
      [expected],
    );
  }
});

test('errors in a row are counted until a message is accepted', () => {
  const { dialogue } = play(
    'standard',
    ['a', 'b'],
    [
      `> ${group('a')}`,
      '< 250 ok',
      '< 550 who',
      '< 554 none',
      `> RSET|${group('b')}`,
      '< 250 ok',
      '< 250 ok',
      '< 250 ok',
      '< 354 go',
      `> ${content('b')}`,
    ],
  );
  assert.equal(dialogue.errorsInARow, 2);
  dialogue.receive(makeReply(250, 'taken'));
  assert.equal(dialogue.errorsInARow, 0);
});
