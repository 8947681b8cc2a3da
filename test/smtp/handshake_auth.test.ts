// The handshake's AUTH: mechanisms, refusals, relays that do not keep to the exchange, and secrets.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import type { PasswordAuth, RelayOptions } from '../../src/smtp/relay.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import {
  hangUp,
  mustFail,
  mustOpen,
  pair,
  relayAt,
  silence,
  startRelay,
  type Answers,
} from './scripted_relay.ts';

const auth = { user: 'shop', pass: 'pass wörd' } as const;

/** A relay with TLS from the start that offers these mechanisms. */
function startAuth(context: TestContext, offer: string, answers: Answers) {
  return startRelay(context, {
    implicitTls: true,
    plain: { EHLO: `250-relay.example\n250 ${offer}`, ...answers },
  });
}

function secured(port: number, credentials: RelayOptions['auth'] = auth): RelayOptions {
  return relayAt(port, { security: 'tls', auth: credentials });
}

for (const method of ['PLAIN', 'LOGIN'] as const) {
  for (const tls of ['implicit', 'starttls'] as const) {
    test(`AUTH ${method} logs in (${tls})`, async (context) => {
      const account = { ...auth, methods: [method] };
      const sandbox = await startSandbox({ tls, certificate: pair, auth: account });
      context.after(() => sandbox.close());
      const security = tls === 'implicit' ? 'tls' : 'starttls';
      await mustOpen(context, relayAt(sandbox.port, { security, auth: { ...auth, method } }));
    });
  }
}

test('AUTH CRAM-MD5 answers the challenge and sends no password', async (context) => {
  const challenge = '<1896.697170952@relay.example>';
  const relay = await startAuth(context, 'AUTH CRAM-MD5', {
    AUTH: `334 ${Buffer.from(challenge).toString('base64')}`,
    '*': '235 ok',
  });
  await mustOpen(context, secured(relay.port, { user: 'tim', pass: 'tanstaaftanstaaf' }));
  const digest = createHmac('md5', 'tanstaaftanstaaf').update(challenge).digest('hex');
  assert.deepEqual(
    relay.received.slice(1).map(({ line }) => line),
    ['AUTH CRAM-MD5', Buffer.from(`tim ${digest}`).toString('base64')],
  );
});

const choices: readonly (readonly [offer: string, method: PasswordAuth['method'], chosen: string])[] = [
  ['AUTH CRAM-MD5 LOGIN PLAIN', undefined, 'AUTH PLAIN AHNob3AAcGFzcyB3w7ZyZA=='],
  ['AUTH CRAM-MD5 LOGIN', undefined, 'AUTH LOGIN'],
  ['auth cram-md5', undefined, 'AUTH CRAM-MD5'],
  ['AUTH=LOGIN', undefined, 'AUTH LOGIN'],
  ['AUTH PLAIN LOGIN', 'LOGIN', 'AUTH LOGIN'],
];

for (const [offer, method, chosen] of choices) {
  test(`of "${offer}", ${method ?? 'any method'} wanted, ${chosen.split(' ', 2).join(' ')} is taken`, async (context) => {
    const relay = await startAuth(context, offer, { AUTH: '535 no' });
    await mustFail(secured(relay.port, { ...auth, method }));
    assert.equal(relay.received[1]?.line, chosen);
  });
}

const misfits: readonly (readonly [offer: string, credentials: RelayOptions['auth'], text: RegExp])[] = [
  ['PIPELINING', auth, /does not offer AUTH on this connection$/],
  ['AUTHENTICATE', auth, /does not offer AUTH/],
  ['AUTH GSSAPI NTLM', auth, /it offers GSSAPI, NTLM, wanted is PLAIN or LOGIN or CRAM-MD5$/],
  ['AUTH PLAIN', { ...auth, method: 'CRAM-MD5' }, /it offers PLAIN, wanted is CRAM-MD5$/],
  ['AUTH', auth, /it offers no mechanism/],
  [
    'AUTH PLAIN',
    { type: 'OAuth2', user: 'u', accessToken: 't0ken', accessUrl: 'https://x.example/' },
    /wanted is XOAUTH2/,
  ],
];

for (const [offer, credentials, text] of misfits) {
  test(`with "${offer}" no credentials are sent in a way that was not offered: ${text.source}`, async (context) => {
    const relay = await startAuth(context, offer, {});
    const { permanent, verdict } = await mustFail(secured(relay.port, credentials));
    assert.deepEqual([permanent, verdict.category, verdict.stage], [true, 'relay-auth', 'auth']);
    assert.match(verdict.text, text);
    assert.deepEqual(relay.verbs(), ['EHLO']);
  });
}

test('credentials and plain text do not go together, whoever says so', async (context) => {
  const relay = await startRelay(context, { plain: { EHLO: '250-relay.example\n250 AUTH PLAIN' } });
  const { permanent, verdict } = await mustFail(relayAt(relay.port, { security: 'plain', auth }));
  assert.deepEqual([permanent, verdict.category], [true, 'relay-auth']);
  assert.equal(relay.sockets.length, 0);
});

test('after HELO nobody logs in', async (context) => {
  const relay = await startAuth(context, '', { EHLO: '500 what?', HELO: '250 ok' });
  const { verdict } = await mustFail(secured(relay.port));
  assert.match(verdict.text, /does not offer AUTH/);
  assert.deepEqual(relay.verbs(), ['EHLO', 'HELO']);
});

const refusals: readonly (readonly [
  reply: string,
  permanent: boolean,
  category: string,
  text: RegExp,
  hint: RegExp,
])[] = [
  [
    '535 5.7.8 bad credentials',
    true,
    'relay-auth',
    /refuses the credentials: 535 5\.7\.8/,
    /user and password/,
  ],
  [
    '535-5.7.8 see\n535 5.7.8 https://x',
    true,
    'relay-auth',
    /535 5\.7\.8 see 5\.7\.8 https/,
    /user and password/,
  ],
  ['454 4.7.0 temporary failure', false, 'relay-auth', /cannot check the credentials now: 454/, /again/],
  ['432 4.7.12 transition needed', false, 'relay-auth', /renewed first: 432/, /password/],
  ['534 5.7.9 mechanism too weak', true, 'relay-auth', /stronger way to log in: 534/, /applications/],
  ['538 5.7.11 encryption required', true, 'relay-auth', /TLS before AUTH: 538/, /465/],
  ['504 5.5.4 unrecognized type', true, 'relay-auth', /504 5\.5\.4/, /user and password/],
  ['421 4.3.2 going down', false, 'relay-down', /takes no sessions: 421/, /operator/],
  ['250 ok', false, 'protocol', /does not keep to the AUTH exchange/, /auth\.method/],
  ['what?', false, 'protocol', /does not keep to the AUTH exchange/, /auth\.method/],
];

for (const method of ['LOGIN', 'CRAM-MD5'] as const) {
  for (const [reply, permanent, category, text, hint] of refusals) {
    test(`AUTH ${method} that gets ${JSON.stringify(reply)} is ${permanent ? '' : 'not '}permanent`, async (context) => {
      const relay = await startAuth(context, `AUTH ${method}`, { AUTH: reply });
      const failure = await mustFail(secured(relay.port));
      const { verdict } = failure;
      assert.deepEqual([failure.permanent, verdict.category], [permanent, category]);
      assert.deepEqual(
        [verdict.scope, verdict.stage, verdict.kind, verdict.session],
        ['relay', 'auth', 'unsent', 'close'],
      );
      assert.match(verdict.text, text);
      assert.match(failure.hint, hint);
      // One try, no hammering.
      assert.deepEqual(relay.verbs(), ['EHLO', 'AUTH']);
    });
  }
}

const challenges: readonly (readonly [
  what: string,
  method: 'PLAIN' | 'LOGIN' | 'CRAM-MD5',
  answers: Answers,
])[] = [
  ['that never ends', 'PLAIN', { AUTH: '334 ', '*': '334 ' }],
  ['that is empty', 'CRAM-MD5', { AUTH: '334 ' }],
  ['of more than 12,288 octets', 'LOGIN', { AUTH: `334 ${'A'.repeat(13_000)}`, '*': silence }],
  ['of more than a megabyte', 'LOGIN', { AUTH: Buffer.from(`334 ${'A'.repeat(1_200_000)}`) }],
];

for (const [what, method, answers] of challenges) {
  test(`a challenge ${what} ends the session`, async (context) => {
    const relay = await startAuth(context, `AUTH ${method}`, answers);
    const startedAt = performance.now();
    const { permanent, verdict } = await mustFail(secured(relay.port));
    assert.ok(performance.now() - startedAt < 1500, 'at once, not by a timeout');
    assert.deepEqual([permanent, verdict.category, verdict.stage], [false, 'protocol', 'auth']);
    assert.ok(relay.received.length < 12, `${relay.received.length} lines`);
    assert.ok(verdict.text.length < 1000);
  });
}

for (const [what, answer] of [
  ['says nothing', silence],
  ['hangs up', hangUp],
] as const) {
  test(`a relay that ${what} within AUTH is a network failure, and says nothing of the password`, async (context) => {
    const relay = await startAuth(context, 'AUTH PLAIN', { AUTH: answer });
    const { permanent, verdict } = await mustFail({ ...secured(relay.port), commandTimeoutMs: 200 });
    assert.deepEqual([permanent, verdict.category, verdict.stage], [false, 'network', 'auth']);
  });
}

const canary = 'c4n4ry/pass+wörd';

for (const method of ['PLAIN', 'LOGIN', 'CRAM-MD5'] as const) {
  test(`a relay that echoes what it was sent tells no secret of AUTH ${method}`, async (context) => {
    const echo = (line: string) =>
      `535 5.7.8 bad: ${line} ${Buffer.from(line.split(' ').at(-1) ?? '', 'base64').toString('utf8')} ${canary}`;
    const relay = await startAuth(context, `AUTH ${method}`, {
      AUTH: method === 'PLAIN' ? echo : '334 VXNlcm5hbWU6',
      '*':
        method === 'LOGIN'
          ? [`334 UGFzc3dvcmQ6`, `535 ${Buffer.from(canary).toString('base64')} ${canary}`]
          : echo,
    });
    const failure = await mustFail(secured(relay.port, { user: 'shop', pass: canary }));
    assertHides(JSON.stringify(failure));
    assert.match(failure.verdict.text, /\*\*\*/);
  });
}

function assertHides(text: string): void {
  const forms = [
    canary,
    Buffer.from(canary).toString('base64'),
    Buffer.from(`\0shop\0${canary}`).toString('base64'),
    encodeURIComponent(canary),
  ];
  for (const form of forms) assert.equal(text.includes(form), false, text);
}

test('a long reply is cut, but never within a secret', async (context) => {
  for (let length = 470; length <= 500; length += 3) {
    const relay = await startAuth(context, 'AUTH PLAIN', { AUTH: `535 ${'x'.repeat(length)}${canary}` });
    const { verdict } = await mustFail(secured(relay.port, { user: 'shop', pass: canary }));
    assert.ok(verdict.text.length < 600);
    assert.doesNotMatch(verdict.text, /c4n/);
  }
});
