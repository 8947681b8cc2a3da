// How log lines look in the journal and on a terminal, and what hides addresses; who listens in the same process.
import assert from 'node:assert/strict';
import { channel } from 'node:diagnostics_channel';
import { test } from 'node:test';
import { describeEvents, publishOnChannels } from '../../src/daemon/event_records.ts';
import { createAddressHider, styleLine } from '../../src/daemon/log_style.ts';
import type { PosthasteEvent } from '../../src/mail/event.ts';

const line = `${JSON.stringify({ level: 40, time: 0, campaign: 'spring', code: 'ERR_X', n: 3, msg: 'it\nfailed' })}\n`;

test('a line is one entry with its priority in the journal, and has a time on a terminal', () => {
  assert.equal(styleLine(line, 'journal'), '<4>it failed campaign=spring code=ERR_X n=3\n');
  assert.equal(styleLine(line, 'terminal'), '00:00:00 warn  it failed campaign=spring code=ERR_X n=3\n');
  assert.equal(styleLine(line, 'json'), line);
  const forged = `${JSON.stringify({ level: 30, time: 0, msg: 'a\n<0>forged' })}\n`;
  assert.equal(styleLine(forged, 'journal'), '<6>a <0>forged\n');
});

test('priorities are those of syslog', () => {
  const levels = [10, 20, 30, 40, 50, 60];
  const priorities = levels.map((level) => styleLine(`{"level":${level},"time":0,"msg":"x"}`, 'journal'));
  assert.deepEqual(priorities, ['<7>x\n', '<7>x\n', '<6>x\n', '<4>x\n', '<3>x\n', '<2>x\n']);
});

test('hidden, an address keeps its domain, is the same each time, and is not told by its hash elsewhere', () => {
  const hide = createAddressHider();
  const text = hide('to <Ada.Lovelace+x@example.com>, "bob@mail.example.org" and ada.lovelace+x@example.com');
  assert.ok(!/ada|lovelace|bob/i.test(text), text);
  const [first, , third] = [...text.matchAll(/\w+@[\w.]+/g)].map(([found]) => found);
  assert.equal(first, third);
  assert.match(first ?? '', /^[0-9a-f]{10}@example\.com$/);
  assert.notEqual(createAddressHider()('ada.lovelace+x@example.com'), third);
  assert.equal(hide('no address @ all, 12@'), 'no address @ all, 12@');
});

test('events are heard on channels by whoever subscribes, and cost nothing where nobody does', () => {
  const event: PosthasteEvent = { kind: 'campaignStarted', campaign: 'spring' };
  const heard: unknown[] = [];
  const hear = (message: unknown): void => void heard.push(message);
  publishOnChannels(event);
  const names = ['posthaste:event', 'posthaste:campaignStarted', 'posthaste:batchSettled'];
  for (const name of names) channel(name).subscribe(hear);
  publishOnChannels(event);
  for (const name of names) channel(name).unsubscribe(hear);
  publishOnChannels(event);
  assert.deepEqual(heard, [event, event]);
});

test('a batch of recipients is a line for each, and instants are written as such', () => {
  const recipient = {
    row: 7,
    address: 'a@example.com',
    outcome: 'rejected',
    at: 0,
    replyCode: 550,
    enhancedStatus: '5.1.1',
    reply: '550 5.1.1 no',
    category: 'no-such-recipient',
  } as const;
  const event = {
    kind: 'recipientsSettled',
    campaign: 'c',
    relay: 'r',
    attempt: 2,
    recipients: [recipient],
  } as const;
  const { at: _, ...rest } = recipient;
  assert.deepEqual(describeEvents(event), [
    {
      ...rest,
      kind: 'recipientSettled',
      campaign: 'c',
      relay: 'r',
      attempt: 2,
      settledAt: '1970-01-01T00:00:00.000Z',
    },
  ]);
  assert.deepEqual(describeEvents({ kind: 'campaignWaits', campaign: 'c', untilAt: 0 }), [
    { kind: 'campaignWaits', campaign: 'c', until: '1970-01-01T00:00:00.000Z' },
  ]);
});
