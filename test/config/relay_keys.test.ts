// Services, proxies, OAuth2 and client certificates in the configuration.
import assert from 'node:assert/strict';
import { generateKeyPairSync, createPrivateKey } from 'node:crypto';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadConfig } from '../../src/config/load_config.ts';
import type { RelayConfig } from '../../src/config/relay.ts';
import { makeCertificate } from '../../src/sandbox/certificate.ts';
import { errorOf, linesOf, makeFolder } from './problems.ts';

const pair = makeCertificate();
const encryptedKey = createPrivateKey(pair.key)
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' })
  .toString();
const otherKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();

/** One relay in a file beside certificates and keys. */
function place(t: TestContext, relay: string): string {
  return makeFolder(t, {
    'p.yaml': `relays: { a: { ${relay} } }`,
    'cert.pem': pair.cert,
    'key.pem': pair.key,
    'encrypted.pem': encryptedKey,
    'other.pem': otherKey,
    'credentials/smtp-key': pair.key,
  });
}

function load(t: TestContext, relay: string): RelayConfig | undefined {
  const folder = place(t, relay);
  const env = { CREDENTIALS_DIRECTORY: join(folder, 'credentials'), TOKEN: 'refresh-me' };
  return loadConfig(join(folder, 'p.yaml'), env).relays.get('a');
}

test('a service is the host, port and mechanism that nodemailer knows for it', (t) => {
  assert.partialDeepStrictEqual(load(t, 'service: gmail, auth: { user: u, pass: p }'), {
    host: 'smtp.gmail.com',
    port: 465,
    security: 'tls',
    auth: { user: 'u', pass: 'p' },
  });
  assert.partialDeepStrictEqual(load(t, "service: '1und1', auth: { user: u, pass: p }"), {
    auth: { method: 'LOGIN' },
  });
  assert.partialDeepStrictEqual(load(t, "service: '1und1', auth: { user: u, pass: p, method: PLAIN }"), {
    auth: { method: 'PLAIN' },
  });
});

test('what is written wins over what a service says of its port', (t) => {
  assert.partialDeepStrictEqual(load(t, 'service: gmail, port: 2465, secure: true'), {
    host: 'smtp.gmail.com',
    port: 2465,
    security: 'tls',
  });
});

test('OAuth2 has the keys of nodemailer, each of which may be a secret elsewhere', (t) => {
  const relay = load(
    t,
    `service: gmail, auth: { type: OAuth2, user: me@h.example, clientId: id, clientSecret: s, refreshToken: { env: TOKEN },
     accessToken: at, expires: 1700000000000, accessUrl: 'https://t.example/token' }`,
  );
  assert.deepEqual(relay?.auth, {
    type: 'OAuth2',
    user: 'me@h.example',
    clientId: 'id',
    clientSecret: 's',
    refreshToken: 'refresh-me',
    accessToken: 'at',
    expiresAt: 1_700_000_000_000,
    accessUrl: 'https://t.example/token',
  });
});

test("without an accessUrl tokens are Google's, as in nodemailer", (t) => {
  const relay = load(t, 'service: gmail, auth: { type: OAuth2, user: u, accessToken: at }');
  assert.partialDeepStrictEqual(relay?.auth, { accessUrl: 'https://accounts.google.com/o/oauth2/token' });
});

test('CRAM-MD5 is a mechanism', (t) => {
  const relay = load(t, 'host: h.example, auth: { user: u, pass: p, method: CRAM-MD5, type: login }');
  assert.deepEqual(relay?.auth, { user: 'u', pass: 'p', method: 'CRAM-MD5' });
});

for (const [written, proxy] of [
  ['http://p.example:3128', { kind: 'http', host: 'p.example', port: 3128 }],
  ['http://p.example', { kind: 'http', host: 'p.example', port: 80 }],
  ['https://p.example/', { kind: 'https', host: 'p.example', port: 443 }],
  ['socks5://[2001:db8::1]', { kind: 'socks5', host: '2001:db8::1', port: 1080 }],
  ['http://me:p%40ss@p.example:1', { kind: 'http', host: 'p.example', port: 1, user: 'me', pass: 'p@ss' }],
] as const) {
  test(`proxy ${written} is understood`, (t) => {
    assert.deepEqual(load(t, `host: h.example, proxy: '${written}'`)?.proxy, proxy);
  });
}

for (const [what, key] of [
  ['a file', 'key: { file: key.pem }'],
  ['a systemd credential', 'key: { credential: smtp-key }'],
  ['a file with a passphrase', "key: { file: encrypted.pem }, passphrase: 'open sesame'"],
] as const) {
  test(`the key of a client certificate may be ${what}`, (t) => {
    const tls = load(t, `host: h.example, tls: { cert: { file: cert.pem }, ${key} }`)?.tls;
    assert.equal(tls?.cert, pair.cert);
    assert.match(tls?.key ?? '', /PRIVATE KEY/);
  });
}

test('TLS 1.3 may be asked for, TLS 1.2 is the least', (t) => {
  assert.equal(load(t, 'host: h.example, tls: { minVersion: TLSv1.3 }')?.tls.minVersion, 'TLSv1.3');
  assert.equal(load(t, 'host: h.example, tls: { servername: x.example }')?.tls.minVersion, 'TLSv1.2');
});

const oneProxy = 'http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, with USER:PASSWORD@ if need be';
const secretForms = 'text, { env: NAME }, { file: PATH } or { credential: NAME }';

const refused: readonly (readonly [what: string, relay: string, ...lines: string[]])[] = [
  [
    'a service that nobody knows',
    'service: gmial-x',
    'relays.a.service is no service that nodemailer knows; expected a name such as gmail, or host and port instead',
  ],
  [
    'a service with a host',
    'service: gmail, host: h.example',
    'relays.a.service and host both say where the relay is; expected one of them',
  ],
  [
    'TLS 1.1',
    'host: h.example, tls: { minVersion: TLSv1.1 }',
    'relays.a.tls.minVersion cannot be used; expected one of TLSv1.2, TLSv1.3; did you mean "TLSv1.2"?',
  ],
  [
    'a proxy of another kind',
    "host: h.example, proxy: 'ftp://p.example'",
    `relays.a.proxy is no URL of a proxy; expected ${oneProxy}`,
  ],
  [
    'a proxy with a path',
    "host: h.example, proxy: 'http://p.example/x'",
    `relays.a.proxy is no URL of a proxy; expected ${oneProxy}`,
  ],
  [
    'a proxy that is not percent-encoded',
    "host: h.example, proxy: 'http://u:%zz@p.example'",
    `relays.a.proxy is no URL of a proxy; expected ${oneProxy}`,
  ],
  [
    'a local address through an HTTP proxy',
    "host: h.example, proxy: 'http://p.example', localAddress: 192.0.2.1",
    'relays.a.localAddress has no effect through an HTTP proxy; expected no localAddress, or a socks5 proxy',
  ],
  [
    'plain text to a loopback host behind a proxy',
    "host: localhost, ignoreTLS: true, proxy: 'http://p.example'",
    'relays.a.ignoreTLS asks for plain text to a host that is not loopback; expected TLS, or tls "none" as well if plain text is really wanted',
  ],
  [
    'no password',
    'host: h.example, auth: { user: u }',
    `relays.a.auth.pass is missing; expected ${secretForms}`,
  ],
  [
    'OAuth2 without a token',
    'host: h.example, auth: { type: OAuth2, user: u, pass: p }',
    'relays.a.auth has neither refreshToken nor accessToken; expected one of them',
    'relays.a.auth.pass says nothing with type OAuth2',
  ],
  [
    'a token without OAuth2',
    'host: h.example, auth: { user: u, pass: p, refreshToken: r }',
    'relays.a.auth.refreshToken says nothing without type OAuth2',
  ],
  [
    'a refresh token without a client',
    'host: h.example, auth: { type: OAuth2, user: u, refreshToken: r }',
    `relays.a.auth.clientId is missing; expected ${secretForms}`,
  ],
  [
    'a token endpoint without TLS',
    "host: h.example, auth: { type: OAuth2, user: u, accessToken: a, accessUrl: 'http://t.example/' }",
    'relays.a.auth.accessUrl would send secrets without TLS; expected an https URL',
  ],
  [
    'a token endpoint that is none',
    'host: h.example, auth: { type: OAuth2, user: u, accessToken: a, accessUrl: nowhere }',
    'relays.a.auth.accessUrl cannot be used; expected an https URL',
  ],
  [
    'a certificate without its key',
    'host: h.example, tls: { cert: { file: cert.pem } }',
    'relays.a.tls.cert says nothing without tls.key; expected both, or neither',
  ],
  [
    'a key without its certificate',
    'host: h.example, tls: { key: { file: key.pem } }',
    'relays.a.tls.key says nothing without tls.cert; expected both, or neither',
  ],
  [
    'a key of another certificate',
    'host: h.example, tls: { cert: { file: cert.pem }, key: { file: other.pem } }',
    'relays.a.tls.key is not the key of the certificate in tls.cert',
  ],
  [
    'an encrypted key without its passphrase',
    'host: h.example, tls: { cert: { file: cert.pem }, key: { file: encrypted.pem }, passphrase: wrong }',
    'relays.a.tls.key is no private key, or its passphrase is not tls.passphrase; expected a PEM key',
  ],
  [
    'a key in the file itself',
    'host: h.example, tls: { cert: { file: cert.pem }, key: x }',
    'relays.a.tls.key is text; expected { env: NAME }, { file: PATH } or { credential: NAME }',
  ],
  [
    'a key that is missing',
    'host: h.example, tls: { cert: { file: cert.pem }, key: { file: no.pem } }',
    'relays.a.tls.key needs the file no.pem, which cannot be read (ENOENT)',
  ],
];

for (const [what, relay, ...lines] of refused) {
  test(`${what} is refused`, (t) => {
    const folder = place(t, relay);
    const error = errorOf(() => loadConfig(join(folder, 'p.yaml'), {}));
    assert.equal(error.code, 'ERR_CONFIG_INVALID');
    assert.deepEqual(
      linesOf(error, folder).map((one) => one.replace(/^p\.yaml:1:\d+: /, '')),
      lines,
    );
  });
}

test('a token endpoint on this machine needs no TLS', (t) => {
  const auth = "{ type: OAuth2, user: u, accessToken: a, accessUrl: 'http://127.0.0.1:8080/token' }";
  assert.partialDeepStrictEqual(load(t, `host: h.example, auth: ${auth}`)?.auth, {
    accessUrl: 'http://127.0.0.1:8080/token',
  });
});
