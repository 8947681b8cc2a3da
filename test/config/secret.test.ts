// Secrets: where they come from, and that no error ever shows one.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { loadConfig } from '../../src/config/load_config.ts';
import { parseRelayUrl } from '../../src/config/relay_url.ts';
import { interpolate } from '../../src/config/secret.ts';
import { errorOf, makeFolder } from './problems.ts';

const canary = 'c4n4ry';

const places: readonly (readonly [what: string, written: string])[] = [
  ['the text', canary],
  ['a variable in the text', '${CANARY}'],
  ['two variables and text', '${HALF}${HALF_TOO}'],
  ['a variable', '{ env: CANARY }'],
  ['a file', '{ file: canary.txt }'],
  ['a file with a Windows line end', '{ file: crlf.txt }'],
  ['a systemd credential', '{ credential: smtp }'],
];

for (const [what, written] of places) {
  test(`a password may be ${what}`, (t) => {
    const folder = makeFolder(t, {
      'p.yaml': `relays:\n  a: { host: h.example, auth: { user: u, pass: ${quote(written)} } }`,
      'canary.txt': `${canary}\n`,
      'crlf.txt': `${canary}\r\n`,
      'credentials/smtp': canary,
    });
    const env = {
      CANARY: canary,
      HALF: 'c4n',
      HALF_TOO: '4ry',
      CREDENTIALS_DIRECTORY: join(folder, 'credentials'),
    };
    const config = loadConfig(join(folder, 'p.yaml'), env);
    assert.partialDeepStrictEqual(config.relays.get('a')?.auth, { pass: canary });
  });
}

/** Inside of braces a plain "${X}" would begin a map. */
function quote(written: string): string {
  return written.startsWith('$') ? `"${written}"` : written;
}

test('only one newline of a file is dropped, so that a file of two lines is refused', (t) => {
  const folder = makeFolder(t, {
    'p.yaml': 'relays: { a: { host: h.example, auth: { user: u, pass: { file: f } } } }',
    f: `${canary}\n\n`,
  });
  const error = errorOf(() => loadConfig(join(folder, 'p.yaml'), {}));
  assert.match(error.message, /relays\.a\.auth\.pass has more than one line; expected one line$/);
  assertHides(error);
});

test('$${ is a literal ${, and an unfinished ${ is refused', () => {
  assert.deepEqual(interpolate('a$${B}c$d', {}), { kind: 'found', text: 'a${B}c$d' });
  for (const written of ['${', '${A', '${}', '${A B}', '${1}', 'x${A}${']) {
    assert.equal(interpolate(written, { A: '1' }).kind, 'problem', written);
  }
});

test('a value that came from a variable is not interpolated again', () => {
  assert.deepEqual(interpolate('${A}', { A: '${B}', B: 'x' }), { kind: 'found', text: '${B}' });
});

test('names of the environment are its own, not those of all objects', () => {
  assert.equal(interpolate('${constructor}', {}).kind, 'problem');
});

const hostileFiles: readonly string[] = [
  `relays: { a: { host: h.example, auth: ${canary} } }`,
  `relays: { a: { host: h.example, auth: { user: u, password: ${canary} } } }`,
  `relays: { a: { host: h.example, auth: { user: u, ${canary} } } }`,
  `relays: { a: { host: h.example, auth: { user: u, pass: [${canary}] } } }`,
  `relays: { a: { host: h.example, auth: { user: u, pass: { ${canary} } } } }`,
  `relays: { a: { host: h.example, auth: { user: u, pass: { environment: ${canary} } } } }`,
  `relays: { a: { host: h.example, ${canary} } }`,
  `${canary}: x`,
  `relays: { a: { host: h.example, tls: none, auth: { user: u, pass: ${canary} } } }`,
  `relays: { a: { host: h.example, auth: { user: u, pass: !${canary} } } }`,
  `relays: { a: { host: h.example, auth: { user: u, pass: *${canary} } } }`,
  `relays: { a: { host: h.example, auth: { user: u, pass: "\\${canary}" } } }`,
  `relays: { a: { host: h.example, auth: { user: u, pass: "${canary}`,
  `relays:\n  a:\n    auth:\n      pass: @${canary}`,
  `relays:\n  a:\n    auth:\n      pass: x: ${canary}`,
  `relays:\n  a:\n    auth:\n      pass: 'x'${canary}`,
  `relays:\n  a:\n    auth:\n      pass: %${canary}`,
  `relays: { a: "smtps://u:${canary}@h.example" }`,
  `relays: { "smtps://u:${canary}@h.example": { host: h } }`,
  `relays: { a: { host: "smtps://u:${canary}@h.example" } }`,
  `relays: { a: { host: "\${CANARY}", pipelining: "\${CANARY}", rate: "\${CANARY}", port: "\${CANARY}" } }`,
  `relays: { a: { host: h.example, auth: { user: u, pass: "\${CANARY}\${UNSET}" } } }`,
  `relays: { a: { host: h.example, auth: { user: u, pass: "\${${canary} }" } } }`,
  `relays: { a: { host: h.example, proxy: "${canary}" } }`,
  `relays: { a: { host: h.example, proxy: "ftp://u:${canary}@p.example" } }`,
  `relays: { a: { host: h.example, proxy: { url: "http://u:${canary}@p.example" } } }`,
  `relays: { a: { host: h.example, proxy: "http://u:${canary}@p.example", localAddress: 192.0.2.1 } }`,
  `relays: { a: { host: h.example, auth: { type: OAuth2, user: u, pass: ${canary}, refreshToken: ${canary} } } }`,
  `relays: { a: { host: h.example, auth: { type: OAuth2, user: u, accessToken: ${canary}, accessUrl: ${canary} } } }`,
  `relays: { a: { host: h.example, auth: { user: u, clientSecret: ${canary}, accessToken: ${canary} } } }`,
  `relays: { a: { host: h.example, tls: { key: ${canary}, passphrase: ${canary} } } }`,
  `relays: { a: { service: ${canary} } }`,
  `log: { level: "\${CANARY}" }\nthreads: "\${CANARY}"\nmetrics: { listen: "\${CANARY}" }`,
];

for (const [index, text] of hostileFiles.entries()) {
  test(`a wrong configuration does not show its secret (${index + 1})`, (t) => {
    const path = join(makeFolder(t, { 'p.yaml': text }), 'p.yaml');
    assertHides(errorOf(() => loadConfig(path, { CANARY: canary })));
  });
}

const hostileUrls: readonly string[] = [
  `smtp://u:${canary}@h.example`,
  `smtps://u:${canary}@`,
  `smtps://u:${canary}@h.example:x`,
  `smtps://u:${canary}@h.example/path`,
  `smtps://u:${canary}@h.example#x`,
  `smtps://u:${canary}@h.example?nope=1`,
  `smtps://u:${canary}@h.example?maxConnections=x&pass=${canary}`,
  `smtps://u:${canary}%@h.example`,
  `smtps://u:a/${canary}@h.example`,
  `smtps://u:1/${canary}@h.example`,
  `smtps://u:1?${canary}@h.example`,
  `smtps://u:1?${canary}=x@h.example`,
  `smtps://u:1#${canary}@h.example`,
  `smtps://u:a@${canary}@h.example:x`,
  `smtps://u:${canary}`,
  `smtps://h.example?auth=${canary}`,
  `smtps://h.example?proxy=http://u:${canary}%40p.example/path`,
  `smtps://h.example?passphrase=${canary}&key=no.pem&cert=no.pem`,
  `smtps://${canary}@h.example`,
  `smtps://:${canary}@h.example`,
  `smtps:u:${canary}@h.example`,
  `smtps:/u:${canary}@h.example`,
  `u:${canary}@h.example`,
  `https://u:${canary}@h.example`,
  canary,
  `smtps://u:${canary}\u0000@h.example/x`,
];

for (const url of hostileUrls) {
  test(`a wrong relay URL does not show its secret: ${url.replace(canary, '…').replace('\u0000', '(NUL)')}`, () => {
    assertHides(errorOf(() => parseRelayUrl(url)));
  });
}

/** Neither what people see, nor what a logger could print. */
function assertHides(error: Error): void {
  assert.equal(inspect(error, { depth: 10, showHidden: true }).includes(canary), false, error.message);
}
