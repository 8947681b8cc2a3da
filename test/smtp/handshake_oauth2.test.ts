// The handshake's XOAUTH2: which token is offered, when a fresh one is fetched, and how it fails.
import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { test, type TestContext } from 'node:test';
import type { OAuth2, RelayOptions } from '../../src/smtp/relay.ts';
import { mustFail, mustOpen, portOf, relayAt, startRelay, type Answer } from './scripted_relay.ts';

interface Endpoint {
  readonly accessUrl: string;
  /** The forms that were posted. */
  readonly asked: URLSearchParams[];
}

type Grant = (response: ServerResponse, asked: number) => void;

/** An endpoint that grants fresh-1, fresh-2, … unless it is told otherwise. */
async function startEndpoint(context: TestContext, grant: Grant = grantFresh()): Promise<Endpoint> {
  const asked: URLSearchParams[] = [];
  const server = createServer((request, response) => {
    request.setEncoding('utf8');
    const chunks: string[] = [];
    request.on('data', (chunk: string) => chunks.push(chunk));
    request.on('end', () => {
      asked.push(new URLSearchParams(chunks.join('')));
      grant(response, asked.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { accessUrl: `http://127.0.0.1:${portOf(server)}/token`, asked };
}

function grantFresh(more: Readonly<Record<string, unknown>> = {}): Grant {
  return (response, asked) => {
    const body = { access_token: `fresh-${asked}`, token_type: 'Bearer', expires_in: 3600, ...more };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
  };
}

function refuse(status: number, body: string): Grant {
  return (response) => {
    response.statusCode = status;
    response.end(body);
  };
}

const errorChallenge = `334 ${Buffer.from('{"status":"401","schemes":"bearer"}').toString('base64')}`;

/** A relay that takes only these tokens; `challenges`: it says no as Google does, with an error before the reply. */
async function startXoauth2(context: TestContext, accepted: readonly string[], challenges = false) {
  const offered: string[] = [];
  const judge = (line: string): Answer => {
    const [, sent = ''] = Buffer.from(line.slice('AUTH XOAUTH2 '.length), 'base64')
      .toString('utf8')
      .split('\u0001');
    const token = sent.replace('auth=Bearer ', '');
    offered.push(token);
    if (accepted.includes(token)) return '235 2.7.0 ok';
    return challenges ? errorChallenge : '535-5.7.8 not accepted\n535 5.7.8 really';
  };
  const relay = await startRelay(context, {
    implicitTls: true,
    plain: { EHLO: '250-relay.example\n250 AUTH XOAUTH2 PLAIN', AUTH: judge, '*': '535 5.7.8 not accepted' },
  });
  return { ...relay, offered };
}

function withToken(port: number, auth: Partial<OAuth2> & Pick<OAuth2, 'accessUrl'>): RelayOptions {
  const client = { clientId: 'client', clientSecret: 'cl1ent-s3cret', refreshToken: 'r3fresh' };
  return relayAt(port, {
    security: 'tls',
    auth: { type: 'OAuth2', user: 'me@h.example', ...client, ...auth },
  });
}

test('a token that holds is offered as it is, and nobody is asked', async (context) => {
  const endpoint = await startEndpoint(context);
  const relay = await startXoauth2(context, ['given']);
  const options = withToken(relay.port, {
    accessUrl: endpoint.accessUrl,
    accessToken: 'given',
    expiresAt: Date.now() + 60_000,
  });
  await mustOpen(context, options);
  await mustOpen(context, options);
  assert.deepEqual(relay.offered, ['given', 'given']);
  assert.equal(endpoint.asked.length, 0);
});

test('a first token is fetched with what RFC 6749 §6 wants, and kept', async (context) => {
  const endpoint = await startEndpoint(context);
  const relay = await startXoauth2(context, ['fresh-1']);
  const options = withToken(relay.port, { accessUrl: endpoint.accessUrl });
  await mustOpen(context, options);
  await mustOpen(context, options);
  assert.deepEqual(relay.offered, ['fresh-1', 'fresh-1']);
  assert.deepEqual(
    endpoint.asked.map((form) => Object.fromEntries(form)),
    [
      {
        grant_type: 'refresh_token',
        refresh_token: 'r3fresh',
        client_id: 'client',
        client_secret: 'cl1ent-s3cret',
      },
    ],
  );
});

test('a token that has expired is replaced before it is offered', async (context) => {
  const endpoint = await startEndpoint(context, grantFresh({ expires_in: 1 }));
  const relay = await startXoauth2(context, ['fresh-1', 'fresh-2']);
  const options = withToken(relay.port, {
    accessUrl: endpoint.accessUrl,
    accessToken: 'old',
    expiresAt: Date.now() - 1,
  });
  await mustOpen(context, options);
  await mustOpen(context, options);
  assert.deepEqual(relay.offered, ['fresh-1', 'fresh-2']);
});

for (const challenges of [true, false]) {
  const how = challenges ? 'with a challenge' : 'at once';
  test(`a token that is refused ${how} is replaced once, on the same session`, async (context) => {
    const endpoint = await startEndpoint(context);
    const relay = await startXoauth2(context, ['fresh-1'], challenges);
    await mustOpen(context, withToken(relay.port, { accessUrl: endpoint.accessUrl, accessToken: 'stale' }));
    assert.deepEqual(relay.offered, ['stale', 'fresh-1']);
    assert.deepEqual([endpoint.asked.length, relay.sockets.length], [1, 1]);
  });

  test(`a fresh token that is refused ${how} is a permanent failure, after two tries`, async (context) => {
    const endpoint = await startEndpoint(context);
    const relay = await startXoauth2(context, [], challenges);
    const failure = await mustFail(
      withToken(relay.port, { accessUrl: endpoint.accessUrl, accessToken: 'stale' }),
    );
    assert.deepEqual(
      [
        failure.permanent,
        failure.verdict.category,
        failure.verdict.replyCode,
        failure.verdict.enhancedStatus,
      ],
      [true, 'relay-auth', 535, '5.7.8'],
    );
    assert.match(
      failure.verdict.text,
      challenges ? /token: \{"status":"401".*: 535 5\.7\.8/ : /token: 535 5\.7\.8/,
    );
    assert.deepEqual(relay.offered, ['stale', 'fresh-1']);
    assert.equal(endpoint.asked.length, 1);
    assertHides(failure);
  });
}

test('a token without a refresh token is offered once, whatever becomes of it', async (context) => {
  const relay = await startXoauth2(context, []);
  const options = withToken(relay.port, {
    accessUrl: 'https://nobody.invalid/',
    accessToken: 'only',
    refreshToken: undefined,
  });
  const failure = await mustFail(options);
  assert.equal(failure.permanent, true);
  assert.deepEqual(relay.offered, ['only']);
});

test('what is refused for another reason than the token costs no token', async (context) => {
  const endpoint = await startEndpoint(context);
  const relay = await startRelay(context, {
    implicitTls: true,
    plain: { EHLO: '250-relay.example\n250 AUTH XOAUTH2', AUTH: '454 4.7.0 too many logins' },
  });
  const failure = await mustFail(
    withToken(relay.port, { accessUrl: endpoint.accessUrl, accessToken: 'good' }),
  );
  assert.deepEqual([failure.permanent, failure.verdict.replyCode], [false, 454]);
  assert.deepEqual([relay.verbs(), endpoint.asked.length], [['EHLO', 'AUTH'], 0]);
});

test('twenty sessions whose token is refused make one request, and all of them open', async (context) => {
  const endpoint = await startEndpoint(context);
  const relay = await startXoauth2(context, ['fresh-1']);
  const options = withToken(relay.port, { accessUrl: endpoint.accessUrl, accessToken: 'stale' });
  await Promise.all(Array.from({ length: 20 }, () => mustOpen(context, options)));
  assert.equal(endpoint.asked.length, 1);
  assert.equal(relay.offered.filter((token) => token === 'fresh-1').length, 20);
});

test('a refresh token that comes with an access token takes the place of the old one', async (context) => {
  const endpoint = await startEndpoint(context, grantFresh({ expires_in: 1, refresh_token: 'n3xt' }));
  const relay = await startXoauth2(context, ['fresh-1', 'fresh-2']);
  const options = withToken(relay.port, { accessUrl: endpoint.accessUrl });
  await mustOpen(context, options);
  await mustOpen(context, options);
  assert.deepEqual(
    endpoint.asked.map((form) => form.get('refresh_token')),
    ['r3fresh', 'n3xt'],
  );
});

const noTokens: readonly (readonly [what: string, grant: Grant, permanent: boolean, text: RegExp])[] = [
  [
    'that refuses the refresh token',
    refuse(
      400,
      '{"error":"invalid_grant","error_description":"Token r3fresh has been revoked by cl1ent-s3cret"}',
    ),
    true,
    /no access token is granted: 127\.0\.0\.1:\d+ answers 400 invalid_grant: Token \*\*\* has been revoked by \*\*\*$/,
  ],
  [
    'that is broken',
    refuse(503, '<html>r3fresh</html>'),
    false,
    /cannot be had|can be had now: .* answers 503 without/,
  ],
  ['that asks for patience', refuse(429, '{"error":"slow_down"}'), false, /429 slow_down/],
  ['that says 200 without a token', refuse(200, '{"ok":true}'), false, /answers 200 without a token/],
  ['that says 200 with a number', refuse(200, '{"access_token":7}'), false, /answers 200 without a token/],
  ['that talks without end', refuse(200, `{"access_token":"${'x'.repeat(100_000)}"}`), false, /65536 bytes/],
  ['that hangs up', (response) => response.destroy(), false, /cannot be asked \(/],
];

for (const [what, grant, permanent, text] of noTokens) {
  test(`a token endpoint ${what} is ${permanent ? '' : 'not '}a permanent failure of the relay`, async (context) => {
    const endpoint = await startEndpoint(context, grant);
    const relay = await startXoauth2(context, []);
    const failure = await mustFail(withToken(relay.port, { accessUrl: endpoint.accessUrl }));
    assert.deepEqual(
      [failure.permanent, failure.verdict.category, failure.verdict.stage],
      [permanent, 'relay-auth', 'auth'],
    );
    assert.match(failure.verdict.text, text);
    assert.deepEqual(relay.offered, []);
    assert.equal(endpoint.asked.length, 1);
    assertHides(failure);
  });
}

test('secrets do not follow a redirect of the token endpoint', async (context) => {
  const elsewhere = await startEndpoint(context);
  const endpoint = await startEndpoint(context, (response) =>
    response.writeHead(307, { location: elsewhere.accessUrl }).end(),
  );
  const relay = await startXoauth2(context, ['fresh-1']);
  const { permanent, verdict } = await mustFail(withToken(relay.port, { accessUrl: endpoint.accessUrl }));
  assert.deepEqual([permanent, elsewhere.asked.length], [false, 0]);
  assert.match(verdict.text, /cannot be asked/);
});

test('a relay that closes with 421 is told by its reply, not by its end', async (context) => {
  const endpoint = await startEndpoint(context);
  const relay = await startRelay(context, {
    implicitTls: true,
    plain: { EHLO: '250-relay.example\n250 AUTH XOAUTH2', AUTH: '421 4.3.2 going down' },
  });
  const { verdict } = await mustFail(withToken(relay.port, { accessUrl: endpoint.accessUrl }));
  assert.deepEqual([verdict.stage, verdict.replyCode], ['auth', 421]);
});

test('a relay that hangs up while a token is fetched is noticed', async (context) => {
  const relay = await startXoauth2(context, []);
  const endpoint = await startEndpoint(context, () => relay.sockets[0]?.destroy());
  const startedAt = performance.now();
  const { permanent, verdict } = await mustFail(withToken(relay.port, { accessUrl: endpoint.accessUrl }));
  assert.ok(performance.now() - startedAt < 1500, 'at once, not by a timeout');
  assert.deepEqual([permanent, verdict.category], [false, 'network']);
  assert.match(verdict.text, /closed the connection/);
});

test('a relay that echoes a fetched token tells it to nobody', async (context) => {
  const endpoint = await startEndpoint(context);
  const relay = await startRelay(context, {
    implicitTls: true,
    plain: {
      EHLO: '250-relay.example\n250 AUTH XOAUTH2',
      AUTH: (line) => `535 5.7.8 bad: ${line} ${Buffer.from(line.slice(13), 'base64').toString('latin1')}`,
    },
  });
  const failure = await mustFail(withToken(relay.port, { accessUrl: endpoint.accessUrl }));
  assert.match(
    failure.verdict.text,
    /535 5\.7\.8 bad: AUTH XOAUTH2 \*\*\* user=me@h\.example auth=Bearer \*\*\*/,
  );
  assertHides(failure);
});

function assertHides(failure: unknown): void {
  const text = JSON.stringify(failure);
  for (const secret of ['r3fresh', 'cl1ent-s3cret', 'fresh-', 'stale']) {
    assert.equal(text.includes(secret), false, text);
    assert.equal(text.includes(Buffer.from(secret).toString('base64')), false, text);
  }
}
