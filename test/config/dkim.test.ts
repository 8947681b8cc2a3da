// The keys of `dkim`: what is accepted, and what is refused before anything is signed.
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadConfig } from '../../src/config/load_config.ts';
import type { DkimKey } from '../../src/sign/key.ts';
import { errorOf, linesOf, makeFolder } from './problems.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed25519 = generateKeyPairSync('ed25519');

function toPem(key: KeyObject, type: 'pkcs1' | 'pkcs8' | 'sec1' = 'pkcs8'): string {
  return String(key.export({ type, format: 'pem' }));
}

/** A key of any size in no time: its numbers have the right length and no other virtue. */
function makeHollowRsaKey(bits: number): KeyObject {
  const half = (): string => makeNumber(bits / 2);
  const key = { kty: 'RSA', e: 'AQAB', n: makeNumber(bits), d: makeNumber(bits), p: half(), q: half() };
  return createPrivateKey({ key: { ...key, dp: half(), dq: half(), qi: half() }, format: 'jwk' });
}

/** Odd, of exactly so many bits. */
function makeNumber(bits: number): string {
  const bytes = randomBytes(bits / 8);
  bytes[0] = (bytes[0] ?? 0) | 0x80;
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 1;
  return bytes.toString('base64url');
}

function entryOf(domain: string, selector: string): string {
  return `  - { domain: ${domain}, selector: ${selector}, key: { file: dkim.pem } }\n`;
}

function configOf(entry: string): string {
  return `dkim:\n  - { ${entry} }\n`;
}

/** Where the value of a key stands in the configuration of an entry. */
function placeOf(name: 'domain' | 'selector' | 'key', entry: string): string {
  return `p.yaml:2:${'  - { '.length + entry.indexOf(`${name}: `) + `${name}: `.length + 1}`;
}

function load(context: TestContext, text: string, files: Readonly<Record<string, string>>, env = {}) {
  return loadConfig(join(makeFolder(context, { ...files, 'p.yaml': text }), 'p.yaml'), env);
}

function refuse(
  context: TestContext,
  text: string,
  files: Readonly<Record<string, string>> = {},
  env = {},
): string[] {
  const folder = makeFolder(context, { ...files, 'p.yaml': text });
  const error = errorOf(() => loadConfig(join(folder, 'p.yaml'), env));
  assert.deepEqual([error.code, error.exitCode], ['ERR_CONFIG_INVALID', 78]);
  return linesOf(error, folder);
}

const accepted: readonly (readonly [what: string, pem: string, bits: number | undefined])[] = [
  ['RSA in PKCS#8', toPem(rsa.privateKey), 2048],
  ['RSA in PKCS#1', toPem(rsa.privateKey, 'pkcs1'), 2048],
  ['RSA of 4096 bits', toPem(generateKeyPairSync('rsa', { modulusLength: 4096 }).privateKey), 4096],
  ['Ed25519', toPem(ed25519.privateKey), undefined],
  ['CRLF line ends', toPem(ed25519.privateKey).replaceAll('\n', '\r\n'), undefined],
  ['text around the key', `my key\n\n${toPem(ed25519.privateKey)}\n\n`, undefined],
];

for (const [what, pem, bits] of accepted) {
  test(`a key is accepted: ${what}`, (context) => {
    const entry = 'domain: Example.COM, selector: s2026.Mail, key: { file: dkim.pem }';
    const config = load(context, configOf(entry), { 'dkim.pem': pem });
    const keys: readonly DkimKey[] = config.dkim;
    assert.deepEqual(
      keys.map(({ domain, selector }) => [domain, selector]),
      [['example.com', 's2026.Mail']],
    );
    assert.equal(config.dkim[0]?.modulusBits, bits);
    assert.equal(createPrivateKey(keys[0]?.privateKey ?? '').type, 'private');
    assert.deepEqual(config.warnings, []);
  });
}

test('a key may be in a file, in the environment or a systemd credential', (context) => {
  const pem = toPem(ed25519.privateKey);
  const places = ['{ file: a.pem }', '{ env: DKIM_KEY }', '{ credential: dkim }'];
  const entries = places.map(
    (place, index) => `  - { domain: example.com, selector: s${index}, key: ${place} }\n`,
  );
  const credentials = makeFolder(context, { dkim: pem });
  const env = { DKIM_KEY: pem, CREDENTIALS_DIRECTORY: credentials };
  const config = load(context, `dkim:\n${entries.join('')}`, { 'a.pem': pem }, env);
  assert.deepEqual(
    config.dkim.map(({ privateKey }) => privateKey.trimEnd()),
    places.map(() => pem.trimEnd()),
  );
});

test('a domain of other letters is signed for by its A-labels', (context) => {
  const files = { 'dkim.pem': toPem(ed25519.privateKey) };
  const entry = 'domain: bücher.example, selector: s, key: { file: dkim.pem }';
  assert.equal(load(context, configOf(entry), files).dkim[0]?.domain, 'xn--bcher-kva.example');
});

test('an RSA key of less than 2048 bits is warned about at every start', (context) => {
  const files = { 'dkim.pem': toPem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey) };
  const config = load(context, configOf('domain: example.com, selector: s1, key: { file: dkim.pem }'), files);
  assert.deepEqual(config.warnings, [
    'DKIM key s1._domainkey.example.com: RSA of 1024 bits is weak, and some receivers do not count it; use 2048 (RFC 8301 §3.2)',
  ]);
});

const wanted = 'expected the private key, PEM, as "openssl genpkey" writes it';
const withoutPassphrase =
  'expected a key without one ("openssl pkey -in KEY -out PLAIN"), kept as a systemd credential or in a file that only Posthaste can read';
const cipher = { cipher: 'aes-256-cbc', passphrase: 'p' };
const pkcs8 = { type: 'pkcs8', format: 'pem' } as const;

const badKeys: readonly (readonly [what: string, content: string, told: string])[] = [
  ['nothing', '', 'is empty'],
  ['text', 'secret', `is not PEM; ${wanted}`],
  ['base64 alone', toPem(ed25519.privateKey).replace(/-----.*-----\n/g, ''), `is not PEM; ${wanted}`],
  [
    'a torn key',
    `${toPem(rsa.privateKey).slice(0, 600)}\n`,
    `is broken: no key can be read from it; ${wanted}`,
  ],
  [
    'a garbled key',
    toPem(rsa.privateKey).replace(/M/g, '!'),
    `is broken: no key can be read from it; ${wanted}`,
  ],
  [
    'a key with wrong numbers',
    toPem(makeHollowRsaKey(2048)),
    `is broken: what it signs does not verify; ${wanted}`,
  ],
  [
    'an encrypted key',
    String(ed25519.privateKey.export({ ...pkcs8, ...cipher })),
    `is encrypted, and nobody is there to type a passphrase; ${withoutPassphrase}`,
  ],
  [
    'an encrypted key in the old way',
    String(rsa.privateKey.export({ ...pkcs8, type: 'pkcs1', ...cipher })),
    `is encrypted, and nobody is there to type a passphrase; ${withoutPassphrase}`,
  ],
  [
    'a public key',
    String(rsa.publicKey.export({ type: 'spki', format: 'pem' })),
    `is a public key, which belongs into DNS; ${wanted}`,
  ],
  [
    'a public key in the old way',
    String(rsa.publicKey.export({ type: 'pkcs1', format: 'pem' })),
    `is a public key, which belongs into DNS; ${wanted}`,
  ],
  [
    'a certificate',
    '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
    `is a certificate; ${wanted}`,
  ],
  [
    'a key of OpenSSH',
    '-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n',
    `is a key of OpenSSH; ${wanted}`,
  ],
  [
    'an elliptic curve of NIST',
    toPem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
    'is a key of type ec, which DKIM does not know; expected RSA or Ed25519',
  ],
  [
    'the same in its own format',
    toPem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, 'sec1'),
    'is a key of type ec, which DKIM does not know; expected RSA or Ed25519',
  ],
  [
    'Ed448',
    toPem(generateKeyPairSync('ed448').privateKey),
    'is a key of type ed448, which DKIM does not know; expected RSA or Ed25519',
  ],
  [
    'X25519',
    toPem(generateKeyPairSync('x25519').privateKey),
    'is a key of type x25519, which DKIM does not know; expected RSA or Ed25519',
  ],
  [
    'RSA-PSS',
    toPem(generateKeyPairSync('rsa-pss', { modulusLength: 1024 }).privateKey),
    'is a key of type rsa-pss, which DKIM does not know; expected RSA or Ed25519',
  ],
  [
    'RSA of 1016 bits',
    toPem(makeHollowRsaKey(1016)),
    'is an RSA key of 1016 bits, which receivers must refuse; expected 2048 bits (RFC 8301 §3.2)',
  ],
  [
    'RSA of 4112 bits',
    toPem(makeHollowRsaKey(4112)),
    'is an RSA key of 4112 bits, which receivers need not be able to check; expected at most 4096 bits (RFC 8301 §3.2)',
  ],
];

for (const [what, content, told] of badKeys) {
  test(`a key is refused, with its place: ${what}`, (context) => {
    const entry = 'domain: example.com, selector: s1, key: { file: dkim.pem }';
    const lines = refuse(context, configOf(entry), { 'dkim.pem': content });
    assert.deepEqual(lines, [`${placeOf('key', entry)}: dkim[0].key ${told}`]);
    for (const line of content.split('\n')) {
      if (line.length > 20 && !line.startsWith('-----'))
        assert.ok(!lines.join('\n').includes(line.slice(0, 20)));
    }
  });
}

const places = '{ env: NAME }, { file: PATH } or { credential: NAME }';
const selectorWanted = 'expected a selector such as s2026 (RFC 6376 §3.1)';
const domainWanted = 'expected a domain such as example.com';

/** Without its place where that is the value's. */
const badEntries: readonly (readonly [what: string, entry: string, told: string])[] = [
  [
    'no such file',
    'domain: example.com, selector: s, key: { file: no.pem }',
    'dkim[0].key needs the file no.pem, which cannot be read (ENOENT)',
  ],
  [
    'a folder for a file',
    'domain: example.com, selector: s, key: { file: . }',
    'dkim[0].key needs the file ., which cannot be read (EISDIR)',
  ],
  [
    'no such variable',
    'domain: example.com, selector: s, key: { env: DKIM_KEY }',
    'dkim[0].key needs the environment variable DKIM_KEY, which is not set',
  ],
  [
    'the key itself',
    'domain: example.com, selector: s, key: "-----BEGIN PRIVATE KEY-----"',
    `dkim[0].key is text; expected ${places}`,
  ],
  ['no key', 'domain: example.com, selector: s', `p.yaml:2:5: dkim[0].key is missing; expected ${places}`],
  [
    'no selector',
    'domain: example.com, key: { file: dkim.pem }',
    `p.yaml:2:5: dkim[0].selector is missing; ${selectorWanted}`,
  ],
  [
    'no domain',
    'selector: s, key: { file: dkim.pem }',
    `p.yaml:2:5: dkim[0].domain is missing; ${domainWanted}`,
  ],
  [
    'an unknown key',
    'domain: example.com, selector: s, key: { file: dkim.pem }, selectr: s',
    'p.yaml:2:66: unknown key "selectr" in dkim[0]; did you mean "selector"?',
  ],
  [
    'a number as selector',
    'domain: example.com, selector: 2026, key: { file: dkim.pem }',
    `dkim[0].selector is a number; ${selectorWanted}`,
  ],
  ...['""', '"a b"', 's_1', '-s', 's-', 's.', '.s', 's..t', '"s;"', 'ß', '"s\\r\\nBcc: x"'].map(
    (selector) =>
      [
        `the selector ${selector}`,
        `domain: example.com, selector: ${selector}, key: { file: dkim.pem }`,
        `dkim[0].selector cannot be used; ${selectorWanted}`,
      ] as const,
  ),
  ...[
    '""',
    'com',
    '"a b.example"',
    'a@example.com',
    '"[192.0.2.1]"',
    'example..com',
    '"x.example;"',
    '192.0.2.1',
  ].map(
    (domain) =>
      [
        `the domain ${domain}`,
        `domain: ${domain}, selector: s, key: { file: dkim.pem }`,
        `dkim[0].domain cannot be used; ${domainWanted}`,
      ] as const,
  ),
];

for (const [what, entry, told] of badEntries) {
  test(`an entry is refused, with its place: ${what}`, (context) => {
    const name = (['key', 'selector', 'domain'] as const).find((one) => told.startsWith(`dkim[0].${one} `));
    const line = name === undefined ? told : `${placeOf(name, entry)}: ${told}`;
    assert.deepEqual(refuse(context, configOf(entry), { 'dkim.pem': toPem(ed25519.privateKey) }), [line]);
  });
}

test('a selector stands for one key of a domain', (context) => {
  const files = { 'dkim.pem': toPem(ed25519.privateKey) };
  const pairs = [
    entryOf('example.com', 's1'),
    entryOf('example.com', 's2'),
    entryOf('example.net', 's1'),
  ].join('');
  assert.equal(load(context, `dkim:\n${pairs}`, files).dkim.length, 3);
  assert.deepEqual(refuse(context, `dkim:\n${pairs}${entryOf('Example.com', 'S1')}`, files), [
    'p.yaml:5:38: dkim[3].selector is that of dkim[0], for the same domain; expected one of its own',
  ]);
});

test('everything that is wrong with several keys is told at once', (context) => {
  const text = `dkim:
  - { domain: com, selector: s, key: { file: no.pem } }
  - { domain: com, selector: s, key: { env: NO_KEY } }
  - nonsense
relays: { a: { host: localhost, port: 0 } }
`;
  assert.deepEqual(
    refuse(context, text).map((line) => line.replace(/;.*/, '')),
    [
      'p.yaml:2:15: dkim[0].domain cannot be used',
      'p.yaml:2:38: dkim[0].key needs the file no.pem, which cannot be read (ENOENT)',
      'p.yaml:3:15: dkim[1].domain cannot be used',
      'p.yaml:3:38: dkim[1].key needs the environment variable NO_KEY, which is not set',
      'p.yaml:4:5: dkim[2] is text',
      'p.yaml:5:39: relays.a.port cannot be used',
    ],
  );
});
