// A relay as a URL.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { maskUrl, parseRelayUrl } from '../../src/config/relay_url.ts';
import { makeCertificate } from '../../src/sandbox/certificate.ts';
import { errorOf, makeFolder } from './problems.ts';

test('a URL is a relay, with the defaults of the configuration', () => {
  assert.deepEqual(parseRelayUrl('smtp+starttls://key:s%40cret%2F%3A@smtp.example.com'), {
    name: 'smtp.example.com',
    host: 'smtp.example.com',
    port: 587,
    security: 'starttls',
    auth: { user: 'key', pass: 's@cret/:', method: undefined },
    proxy: undefined,
    maxConnections: 5,
    maxMessages: 100,
    pace: { rates: [], burst: undefined },
    pipelining: 'auto',
    inFlight: 16,
    clientName: undefined,
    localAddress: undefined,
    tls: { rejectUnauthorized: true },
    connectionTimeoutMs: 120_000,
    greetingTimeoutMs: 30_000,
    commandTimeoutMs: 300_000,
    endOfDataTimeoutMs: 600_000,
  });
});

test('relay keys are query parameters', () => {
  const relay = parseRelayUrl(
    'smtps://u:p@h.example:2465/?maxConnections=9&maxMessages=10&rate=5/s&pipelining=off&name=me.example' +
      '&localAddress=192.0.2.1&proxy=socks5://me:p%2540ss%40proxy.example&minVersion=TLSv1.3&servername=cert.example&socketTimeout=30s&greetingTimeout=500&method=LOGIN&pool=true',
  );
  assert.partialDeepStrictEqual(relay, {
    port: 2465,
    security: 'tls',
    maxConnections: 9,
    maxMessages: 10,
    pace: { rates: [{ count: 5, perMs: 1000 }], burst: undefined },
    pipelining: 'off',
    clientName: 'me.example',
    localAddress: '192.0.2.1',
    proxy: { kind: 'socks5', host: 'proxy.example', port: 1080, user: 'me', pass: 'p@ss' },
    tls: { servername: 'cert.example', rejectUnauthorized: true, minVersion: 'TLSv1.3' },
    commandTimeoutMs: 30_000,
    greetingTimeoutMs: 500,
    auth: { method: 'LOGIN' },
  });
});

const securities: readonly (readonly [url: string, host: string, port: number, security: string])[] = [
  ['smtp://localhost', 'localhost', 587, 'plain'],
  ['smtp://127.0.0.1:2525', '127.0.0.1', 2525, 'plain'],
  ['smtp://[::1]:2525', '::1', 2525, 'plain'],
  ['smtp://h.example?tls=none', 'h.example', 587, 'plain'],
  ['smtp+starttls://localhost', 'localhost', 587, 'starttls'],
  ['smtps://h.example', 'h.example', 465, 'tls'],
];

for (const [url, host, port, security] of securities) {
  test(`${url} is ${security} on port ${port}`, () => {
    const relay = parseRelayUrl(url);
    assert.deepEqual([relay.host, relay.port, relay.security], [host, port, security]);
  });
}

const refused: readonly (readonly [url: string, line: string])[] = [
  [
    'smtp://h.example',
    'relay URL smtp://h.example: smtp:// asks for plain text to a host that is not loopback; expected TLS, or tls "none" as well if plain text is really wanted',
  ],
  [
    'smtp://u:p@localhost',
    'relay URL smtp://***@localhost: smtp:// sends credentials without TLS; expected no auth, or TLS',
  ],
  [
    'smtp://u:p@h.example?tls=none',
    'relay URL smtp://***@h.example: parameter tls sends credentials without TLS; expected no auth, or TLS',
  ],
  [
    'smtps://h.example?tls=none',
    'relay URL smtps://h.example: parameter tls is "none", which contradicts secure',
  ],
  ['smtps://h.example?tls=none&ca=x.pem', 'relay URL smtps://h.example: parameter ca contradicts tls=none'],
  [
    'smtps://h.example?maxMessages=1&maxMessages=2',
    'relay URL smtps://h.example: parameter maxMessages occurs twice, or contradicts another',
  ],
  [
    'smtps://h.example?rejectUnauthorized=false',
    'relay URL smtps://h.example: parameter rejectUnauthorized is false, so anybody could pose as the relay; expected tls.ca with the relay\'s certificate, or "development: true"',
  ],
  ['smtps://u@h.example', 'relay URL smtps://***@h.example: it has no password; expected USER:PASSWORD@HOST'],
  [
    'smtps://h.example?maxConnections=0',
    'relay URL smtps://h.example: parameter maxConnections cannot be used; expected a whole number from 1 to 10000',
  ],
];

for (const [url, line] of refused) {
  test(`${url} is refused`, () => {
    const error = errorOf(() => parseRelayUrl(url));
    assert.deepEqual([error.code, error.exitCode], ['ERR_RELAY_URL', 78]);
    assert.ok(error.message.includes(line), error.message);
  });
}

test('a client certificate and its key are files of the working directory', (t) => {
  const pair = makeCertificate();
  const folder = makeFolder(t, { 'c.pem': pair.cert, 'k.pem': pair.key });
  const { tls } = parseRelayUrl(`smtps://h.example?cert=${folder}/c.pem&key=${folder}/k.pem`);
  assert.partialDeepStrictEqual(tls, { cert: pair.cert, key: pair.key.trimEnd() });
});

test('an unknown parameter is an error with the one that was meant', () => {
  const error = errorOf(() => parseRelayUrl('smtps://u:p@h.example?maxConnection=5'));
  assert.match(
    error.message,
    /\*\*\*@h\.example: unknown parameter "maxConnection"; did you mean "maxConnections"\?$/,
  );
});

test('a password that was not encoded is told as such', () => {
  for (const url of [
    'smtps://u:1?x@h.example',
    'smtps://u:1#x@h.example',
    'smtps://u:1/x@h.example',
    'smtps://u:?x@h',
  ]) {
    assert.match(
      errorOf(() => parseRelayUrl(url)).message,
      /expected user and password percent-encoded/,
      url,
    );
  }
});

test('every problem of a URL is told at once', () => {
  const error = errorOf(() => parseRelayUrl('smtps://u:p@h.example?nope=1&maxConnections=0&rate=x'));
  assert.equal(error.message.split('\n').length, 3);
});

test('user and password come through percent-encoding whole', () => {
  const word = fc
    .string({ unit: 'grapheme', minLength: 1 })
    .filter((text) => !/[\0\r\n]/.test(text) && text.isWellFormed());
  fc.assert(
    fc.property(word, word, (user, pass) => {
      const relay = parseRelayUrl(
        `smtps://${encodeURIComponent(user)}:${encodeURIComponent(pass)}@h.example`,
      );
      assert.partialDeepStrictEqual(relay.auth, { user, pass });
    }),
  );
});

test('of any URL with a password, whatever it is made of, the mask shows none of it', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string(), (before, after) => {
      const url = `smtps://u:${before}c4n4ry${after}@h.example:465`;
      assert.equal(maskUrl(url), 'smtps://***@h.example:465');
      try {
        parseRelayUrl(url);
      } catch (error) {
        assert.equal(String(error).includes('c4n4ry'), false);
      }
    }),
  );
});
