// Holds parseAddress and parseMailbox to RFC 5321 and to the public isemail suite.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { domainOf, parseAddress, parseMailbox } from '../../src/mail/address.ts';

function addressOf(text: string): string {
  const parsed = parseAddress(text);
  assert.equal(parsed.kind, 'address', `${text}: ${parsed.kind === 'invalid' ? parsed.reason : ''}`);
  return parsed.kind === 'address' ? parsed.address : '';
}

function reasonOf(text: string): string {
  const parsed = parseAddress(text);
  assert.equal(parsed.kind, 'invalid', `${text} was accepted`);
  return parsed.kind === 'invalid' ? parsed.reason : '';
}

test('a plain address is taken apart', () => {
  assert.deepEqual(parseAddress('Jane.Doe+news@Mail.Example.COM'), {
    kind: 'address',
    address: 'Jane.Doe+news@mail.example.com',
    localPart: 'Jane.Doe+news',
    domain: 'mail.example.com',
    smtputf8: false,
  });
});

test('what RFC 5321 allows is accepted in its canonical form', () => {
  const table: [string, string][] = [
    [' \t a@example.com\r\n', 'a@example.com'],
    ["!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"],
    ['"a b"@example.com', '"a b"@example.com'],
    ['"a\\"@b"@example.com', '"a\\"@b"@example.com'],
    ['""@example.com', '""@example.com'],
    ['root@localhost', 'root@localhost'],
    ['root@LocalHost', 'root@localhost'],
    ['a@[192.0.2.1]', 'a@[192.0.2.1]'],
    ['a@[ipv6:2001:DB8::1]', 'a@[IPv6:2001:db8::1]'],
    ['a@bücher.example', 'a@xn--bcher-kva.example'],
    ['a@BÜCHER.example', 'a@xn--bcher-kva.example'],
    ['a@例え。テスト', 'a@xn--r8jz45g.xn--zckzah'],
    ['a@1.example', 'a@1.example'],
    [`${'a'.repeat(64)}@example.com`, `${'a'.repeat(64)}@example.com`],
    [`a@${'b'.repeat(63)}.example`, `a@${'b'.repeat(63)}.example`],
  ];
  for (const [text, address] of table) assert.equal(addressOf(text), address);
});

test('an internationalised local part needs SMTPUTF8, an internationalised domain does not', () => {
  const local = parseAddress('jürgen@example.com');
  assert.ok(local.kind === 'address' && local.smtputf8);
  const domain = parseAddress('a@bücher.example');
  assert.ok(domain.kind === 'address' && !domain.smtputf8);
});

test('what is no address is refused with what was found', () => {
  const table: [string, RegExp][] = [
    ['', /is empty/],
    ['  ', /is empty/],
    ['jane', /no "@"/],
    ['@example.com', /nothing stands before/],
    ['a@', /domain is empty/],
    ['a@b@example.com', /"@" is not allowed in the local part/],
    ['a b@example.com', /U\+0020 is not allowed in the local part/],
    ['a@exa mple.com', /U\+0020 is not allowed in a domain/],
    ['a\u00a0@example.com', /U\+00A0/],
    ['a\u200b@example.com', /U\+200B/],
    ['a\ud800@example.com', /U\+D800/],
    ['a@example.com\u00a0', /domain/],
    ['a\r\nRCPT TO:<b@c.d>@example.com', /U\+000D/],
    ['a\0@example.com', /U\+0000/],
    ['"a\r\nb"@example.com', /U\+000D/],
    ['"a@example.com', /opening quote without/],
    ['"a\\"@example.com', /opening quote without/],
    ['"a"b@example.com', /after its closing quote/],
    ['"a\\é"@example.com', /U\+00E9 cannot stand after a backslash/],
    ['.a@example.com', /has a dot at/],
    ['a.@example.com', /has a dot at/],
    ['a..b@example.com', /has a dot at/],
    ['a@.example.com', /empty label/],
    ['a@example..com', /empty label/],
    ['a@example.com.', /ends in a dot/],
    ['a@-b.example', /begins or ends with "-"/],
    ['a@b-.example', /begins or ends with "-"/],
    ['a@my_host.example', /"_" is not allowed in a domain/],
    ['a@example.com>', /">" is not allowed in a domain/],
    ['Jane <a@example.com>', /not allowed/],
    ['a@example.com, b@example.com', /not allowed/],
    ['a@mail', /has no dot/],
    ['a@192.0.2.1', /needs brackets/],
    ['a@[192.0.2]', /address literal/],
    ['a@[IPv6:fe80::1%eth0]', /address literal/],
    ['a@[192.0.2.1', /address literal/],
    ['a@exa%6dple.bücher', /"%" is not allowed/],
    ['a@xn--\u00fc.example', /internationalised/],
    [`${'a'.repeat(65)}@example.com`, /65 octets/],
    [`${'ü'.repeat(33)}@example.com`, /66 octets/],
    [`a@${'b'.repeat(64)}.example`, /63 octets/],
    [`a@${'b.'.repeat(130)}example`, /longer than 25[45]/],
  ];
  for (const [text, reason] of table) assert.match(reasonOf(text), reason, text);
});

test('an address of 254 octets is accepted, one of 255 is not', () => {
  const domain = `${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`;
  assert.equal(addressOf(`${'a'.repeat(64)}@${domain}`).length, 254);
  assert.match(reasonOf(`${'a'.repeat(64)}@${domain}d`), /254/);
});

test('the fast path and the slow path agree', () => {
  const pieces = ['a', 'B', '0', '.', '-', '_', '+', '@', 'example.com', 'localhost', '"', ' ', '[', 'ü'];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 9 }), (parts) => {
      const text = parts.join('');
      // White space around it keeps the fast path from taking it.
      assert.deepEqual(parseAddress(` ${text} `), parseAddress(text));
    }),
    { numRuns: 5000 },
  );
});

test('whatever comes in, an accepted address is one line without white space outside quotes', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.string({ unit: 'binary', maxLength: 20 }),
      (left, right) => {
        const parsed = parseAddress(`${left}@${right}`);
        if (parsed.kind === 'invalid') return;
        assert.doesNotMatch(parsed.address, /\p{Cc}/u);
        assert.doesNotMatch(parsed.domain, /[^a-zA-Z0-9.:[\]-]/);
        assert.equal(domainOf(parsed.address), parsed.domain);
        assert.deepEqual(parseAddress(parsed.address), parsed);
      },
    ),
    { numRuns: 3000 },
  );
});

test('the domain follows the last "@"', () => {
  assert.equal(domainOf('"a@b"@example.com'), 'example.com');
});

test('a mailbox has a name and an address', () => {
  const table: [string, string, string][] = [
    ['hello@example.com', '', 'hello@example.com'],
    ['<hello@example.com>', '', 'hello@example.com'],
    ['Shop <hello@Example.com>', 'Shop', 'hello@example.com'],
    ['  Dr. Who  of  Gallifrey <who@example.com> ', 'Dr. Who of Gallifrey', 'who@example.com'],
    ['"Shop, \\"Inc.\\"" <hello@example.com>', 'Shop, "Inc."', 'hello@example.com'],
    ['Jürgen Groß <j@example.com>', 'Jürgen Groß', 'j@example.com'],
    ['"a <b>" <c@example.com>', 'a <b>', 'c@example.com'],
  ];
  for (const [text, name, address] of table) {
    assert.deepEqual(parseMailbox(text), { kind: 'mailbox', name, address }, text);
  }
});

test('a mailbox that could become more than one header field or mailbox is refused', () => {
  const table = [
    'Shop\r\nBcc: x@example.com <a@example.com>',
    'Shop\u0085x <a@example.com>',
    'Shop, Inc. <a@example.com>',
    'a@example.com, b@example.com',
    'Shop <a@example.com> <b@example.com>',
    'Shop <a@example.com',
    'Shop a@example.com>',
    '"Shop <a@example.com>',
    'Shop <>',
    'group: a@example.com;',
    'Shop (comment) <a@example.com>',
  ];
  for (const text of table) assert.equal(parseMailbox(text).kind, 'invalid', text);
});

const suite = fileURLToPath(new URL('../../../shared/data/isemail-tests.xml', import.meta.url));

test(
  'the isemail suite agrees',
  { skip: existsSync(suite) ? false : 'isemail-tests.xml is not beside this clone' },
  () => {
    let [accepted, refused] = [0, 0];
    for (const { id, address, category } of readSuite()) {
      const { kind } = parseAddress(address);
      // Trimming is ours: a list's cell may have white space around it.
      if (address.trim() !== address) continue;
      if (category === 'ISEMAIL_ERR') {
        assert.equal(kind, 'invalid', `test ${id}: ${address}`);
        refused += 1;
      }
      // Test 5 is test@io: a domain without a dot can be no more than a slip in a list.
      if (category === 'ISEMAIL_VALID_CATEGORY' && id !== 5) {
        assert.equal(kind, 'address', `test ${id}: ${address}`);
        accepted += 1;
      }
    }
    assert.ok(accepted >= 13 && refused >= 50, `${accepted} accepted, ${refused} refused`);
  },
);

function readSuite(): { id: number; address: string; category: string }[] {
  const xml = readFileSync(suite, 'utf8');
  const tests = xml.matchAll(
    /<test id="(\d+)">\s*<address(?:\/>|>(.*?)<\/address>)[^]*?<category>(\w+)<\/category>[^]*?<\/test>/gs,
  );
  return [...tests].map((match) => ({
    id: Number(match[1]),
    address: decodeEntities(match[2] ?? ''),
    category: match[3] ?? '',
  }));
}

/** The suite writes control characters as their pictures, U+2400 and on. */
function decodeEntities(text: string): string {
  return text
    .replaceAll(/&#x([0-9a-f]+);/gi, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 16)))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replaceAll(/[\u2400-\u241f]/g, (picture) => String.fromCharCode(picture.charCodeAt(0) - 0x2400));
}
