// Invitations: every value is encoded for where it stands, whatever it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import PostalMime from 'postal-mime';
import { finishCalendar, markValue } from '../../src/compose/calendar.ts';
import type { Campaign } from '../../src/mail/campaign.ts';
import { composeOne, hostileText, messageOf, planOf, recipientOf, templateOf } from './campaigns.ts';

const columns = ['name', 'address', 'place'];
const invitation = [
  'BEGIN:VCALENDAR',
  'METHOD:REQUEST',
  'BEGIN:VEVENT',
  'ATTENDEE;CN={{ name }};ROLE=REQ-PARTICIPANT:mailto:{{ address | default: "" }}',
  'ORGANIZER;CN="{{ name }}":mailto:shop@example.com',
  'LOCATION;LANGUAGE=x-{{ name }}y:{{ place | default: "" }}',
  'SUMMARY:Tea\\, with {{ name | upcase }}',
  ' {{ name | raw }}',
  '{% if name %}COMMENT:{{ name }}{% endif %}',
  'END:VEVENT',
  'END:VCALENDAR',
  '',
].join('\n');

function campaignOf(source = invitation): Partial<Campaign> {
  return {
    text: templateOf('x'),
    calendar: { source: templateOf(source), method: 'REQUEST', filename: 'invite.ics' },
  };
}

async function invite(cells: readonly string[], source?: string): Promise<string> {
  const message = messageOf(composeOne(planOf(columns, campaignOf(source)), recipientOf(cells)));
  const { attachments } = await PostalMime.parse(message);
  const [alternative, file] = attachments.map(({ content }) =>
    typeof content === 'string' ? content : Buffer.from(new Uint8Array(content)).toString(),
  );
  const encoded =
    /^Content-Type: application\/ics[^]*?\r\n\r\n([\w+/=\r\n]+)\r\n--/m.exec(message)?.[1] ?? '';
  const calendar = Buffer.from(encoded, 'base64').toString();
  // The parser makes other line ends of text.
  assert.equal(file, calendar.replaceAll('\r\n', '\n'));
  assert.equal(alternative, file);
  return calendar;
}

function unfold(calendar: string): string[] {
  return calendar.replaceAll('\r\n ', '').split('\r\n').slice(0, -1);
}

test('values are escaped as text, quoted as parameters, encoded as addresses', async () => {
  const lines = unfold(await invite(['Lee, Ann: "A"', 'a nn@example.net', 'here;\nthere, C:\\']));
  assert.deepEqual(lines, [
    'BEGIN:VCALENDAR',
    'METHOD:REQUEST',
    'BEGIN:VEVENT',
    `ATTENDEE;CN="Lee, Ann: 'A'";ROLE=REQ-PARTICIPANT:mailto:a%20nn@example.net`,
    `ORGANIZER;CN="Lee, Ann: 'A'":mailto:shop@example.com`,
    `LOCATION;LANGUAGE=x-Lee  Ann  'A'y:here\\;\\nthere\\, C:\\\\`,
    'SUMMARY:Tea\\, with LEE\\, ANN: "A"Lee\\, Ann: "A"',
    'COMMENT:Lee\\, Ann: "A"',
    'END:VEVENT',
    'END:VCALENDAR',
  ]);
});

test('no value makes a line, a property, a parameter or a component', async () => {
  const names = unfold(await invite(['x', 'y', 'z'])).map((line) => /^[^:;]*/.exec(line)?.[0]);
  await fc.assert(
    fc.asyncProperty(hostileText, hostileText, async (value, other) => {
      // A name is there, or the COMMENT is not.
      const calendar = await invite([`n${value}`, other, value]);
      const lines = unfold(calendar);
      assert.deepEqual(
        lines.map((line) => /^[^:;]*/.exec(line)?.[0]),
        names,
      );
      assert.match(lines[3] ?? '', /^ATTENDEE;CN=(?:"[^"]*"|[^":;,]*);ROLE=REQ-PARTICIPANT:mailto:[!-~]*$/);
      assert.match(lines[4] ?? '', /^ORGANIZER;CN="[^"]*":mailto:shop@example\.com$/);
      for (const line of calendar.split('\r\n')) assert.ok(Buffer.byteLength(line) <= 75, line);
      // oxlint-disable-next-line no-control-regex -- they are what it looks for
      assert.doesNotMatch(calendar.replaceAll('\r\n', ''), /[\u0000-\u0008\u000a-\u001f\u007f]/);
    }),
    { numRuns: 300 },
  );
});

test('a text value reads back as it was', () => {
  fc.assert(
    fc.property(hostileText, (value) => {
      const [line = ''] = unfold(finishCalendar(`SUMMARY:${markValue(value)}`));
      const read = line
        .slice('SUMMARY:'.length)
        .replace(/\\([\\;,n])/g, (_, one: string) => (one === 'n' ? '\n' : one));
      const expected = value
        // oxlint-disable-next-line no-control-regex -- they are what it looks for
        .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '')
        .replace(/\r\n?/g, '\n');
      assert.equal(read, expected.toWellFormed());
    }),
  );
});

test('folds of the template are undone, blank lines go, marks in it are blanks', async () => {
  const source = 'BEGIN:VCALENDAR\r\nSUM\r\n MARY:a\r\n\tb\r\n\r\nX-A:\u0002c\u0003\nEND:VCALENDAR';
  assert.equal(
    await invite(['', '', ''], source),
    'BEGIN:VCALENDAR\r\nSUMMARY:ab\r\nX-A: c \r\nEND:VCALENDAR\r\n',
  );
});

test('partials, the campaign’s data and every way to print are encoded in an invitation, too', async () => {
  const source = [
    'BEGIN:VCALENDAR',
    "{% render 'summary.ics', who: name %}",
    'COMMENT:{% echo name %}{{ team }}{% capture c %}{{ name }}{% endcapture %}{{ c | raw }}',
    "X-A:{% cycle name, 'b' %}",
    'END:VCALENDAR',
  ].join('\n');
  const partials = { 'summary.ics': templateOf('SUMMARY:\u0002{{ who | raw }}') };
  const campaign = { ...campaignOf(source), partials, data: { team: 'a;\nb' } };
  const message = messageOf(composeOne(planOf(columns, campaign), recipientOf(['x;\ny', '', ''])));
  const { attachments } = await PostalMime.parse(message);
  const [content] = attachments.map((one) => one.content);
  const calendar =
    typeof content === 'string' ? content : Buffer.from(new Uint8Array(content ?? [])).toString();
  assert.deepEqual(calendar.split('\n'), [
    'BEGIN:VCALENDAR',
    'SUMMARY: x\\;\\ny',
    'COMMENT:x\\;\\nya\\;\\nbx\\;\\ny',
    'X-A:x\\;\\ny',
    'END:VCALENDAR',
    '',
  ]);
});
