// The control API against a real daemon: every answer is what the OpenAPI document says, and who may not ask is told so.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { makeCertificate } from '../../src/sandbox/certificate.ts';
import { routes } from '../../src/control/routes.ts';
import { errorView } from '../../src/control/views.ts';
import { isFinished, openServing, type Serving } from './serving.ts';

const token = 'test-only-not-a-real-token';

interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

interface Answered {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly text: string;
}

/** Asks on TCP where there is a port, else on the socket. */
async function ask(
  place: { readonly port?: number; readonly socketPath?: string },
  { method = 'GET', path, headers = {}, body = '' }: Asked,
): Promise<Answered> {
  const asked = request({ host: '127.0.0.1', ...place, method, path, headers, agent: false });
  asked.on('error', () => {}); // Who is refused in the middle of a body may see the connection end.
  asked.end(body);
  const [answer] = await once(asked, 'response');
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return { status: answer.statusCode, headers: answer.headers, text };
}

function socketOf(serving: Serving) {
  return { socketPath: join(serving.folder.path, 'state/control.sock') };
}

function codeOf({ text }: Answered): string {
  return errorView.parse(JSON.parse(text)).error.code;
}

async function openOnTcp(context: TestContext) {
  const serving = await openServing(context, 20, {
    config: 'control: { listen: 0, token: { env: API_TOKEN }, hosts: [ops.example.com] }\n',
    env: { API_TOKEN: token },
  });
  const daemon = await serving.start();
  const [, port] = /"tcpPort":(\d+)/.exec(daemon.text()) ?? [];
  return { serving, port: Number(port) };
}

test('every route answers as the OpenAPI document says, and the document has every route', async (context) => {
  const serving = await openServing(context, 20);
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(isFinished);
  const place = socketOf(serving);
  const begun = await ask(place, { method: 'POST', path: '/v1/submissions' });
  const { submission }: { submission: string } = JSON.parse(begun.text);
  const paths: Record<string, string> = {
    '{name}': 'spring',
    '{submission}': submission,
    '{path+}': 'campaign.yaml',
    '{fileName}': 'list.csv',
  };
  const bodies: Record<string, string> = {
    steerRelay: '{"paused":false}',
    noteComplaints: '{"count":1}',
    retryCampaign: '{"fates":["rejected"]}',
    commitSubmission: '{"as":"again"}',
    putFile: serving.folder.read('campaign.yaml'),
    putList: serving.folder.read('list.csv'),
  };
  const queries: Record<string, string> = {
    followEvents: '?since=0&follow=false',
    findRecipient: '?address=reader3@example.com',
  };
  const document: { paths: Record<string, Record<string, { operationId: string }>> } = JSON.parse(
    (await ask(place, { path: '/v1/openapi.json' })).text,
  );
  const described = Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).map(({ operationId }) => operationId),
  );
  assert.deepEqual(described.sort(), routes.map(({ id }) => id).sort());
  for (const route of routes) {
    if (['steerCampaign', 'abandonSubmission', 'beginSubmission'].includes(route.id)) continue;
    const path = route.path.replace('/{name}', route.id.endsWith('Relay') ? '/primary' : '/spring');
    const whole = Object.entries(paths).reduce((text, [name, value]) => text.replace(name, value), path);
    const answer = await ask(place, {
      method: route.method,
      path: `${whole}${queries[route.id] ?? ''}`,
      headers:
        route.body !== undefined && route.body !== 'stream' ? { 'content-type': 'application/json' } : {},
      body: bodies[route.id] ?? '',
    });
    assert.equal(answer.status, route.answer.status, `${route.id}: ${answer.text}`);
    if (route.answer.schema !== undefined && route.answer.stream === undefined)
      assert.doesNotThrow(() => route.answer.schema?.parse(JSON.parse(answer.text)), route.id);
  }
  await serving.until(isFinished, 'again');
  assert.equal((await serving.stop()).code, 0);
});

test('what is no request is refused with a stable code and the right status, and the daemon lives', async (context) => {
  const serving = await openServing(context, 20);
  await serving.start();
  const place = socketOf(serving);
  const json = { 'content-type': 'application/json' };
  const patch = { method: 'PATCH', path: '/v1/relays/primary', headers: json };
  const cases: [Asked, number, string][] = [
    [{ path: '/' }, 404, 'ERR_PATH_UNKNOWN'],
    [{ path: '/v1//campaigns' }, 404, 'ERR_PATH_UNKNOWN'],
    [{ path: '/v1/%zz' }, 404, 'ERR_PATH_UNKNOWN'],
    [{ path: '/v1/campaigns/none' }, 404, 'ERR_CAMPAIGN_UNKNOWN'],
    [{ path: '/v1/campaigns/..%2f..%2fetc' }, 404, 'ERR_CAMPAIGN_UNKNOWN'],
    [{ method: 'DELETE', path: '/v1/campaigns' }, 405, 'ERR_METHOD_NOT_ALLOWED'],
    [{ path: '/v1/recipients' }, 400, 'ERR_REQUEST_INVALID'],
    [{ path: '/v1/recipients?address=a&address=b' }, 400, 'ERR_REQUEST_INVALID'],
    [{ path: '/v1/version?x=1' }, 400, 'ERR_REQUEST_INVALID'],
    [{ ...patch, body: '{' }, 400, 'ERR_REQUEST_INVALID'],
    [{ ...patch, body: '[]' }, 400, 'ERR_REQUEST_INVALID'],
    [{ ...patch, body: '{"paused":1}' }, 400, 'ERR_REQUEST_INVALID'],
    [{ ...patch, body: '{"paused":true,"x":1}' }, 400, 'ERR_REQUEST_INVALID'],
    [
      { ...patch, body: '{"paused":true}', headers: { 'content-type': 'text/plain' } },
      415,
      'ERR_CONTENT_TYPE',
    ],
    [{ ...patch, body: `{"x":"${'x'.repeat(1_100_000)}"}` }, 413, 'ERR_BODY_TOO_LARGE'],
    [{ ...patch, path: '/v1/relays/none', body: '{"paused":true}' }, 404, 'ERR_RELAY_UNKNOWN'],
    [{ path: '/v1/version', headers: { origin: 'https://evil.example' } }, 403, 'ERR_ORIGIN_REFUSED'],
    [
      { method: 'PUT', path: '/v1/submissions/x/files/campaign.yaml', body: 'a' },
      404,
      'ERR_SUBMISSION_UNKNOWN',
    ],
    [
      { method: 'POST', path: '/v1/submissions/..%2f..%2f/commit', body: '{}', headers: json },
      404,
      'ERR_SUBMISSION_UNKNOWN',
    ],
  ];
  for (const [asked, status, code] of cases) {
    const answer = await ask(place, asked);
    assert.deepEqual([answer.status, codeOf(answer)], [status, code], JSON.stringify(asked).slice(0, 200));
  }
  assert.equal((await ask(place, { method: 'DELETE', path: '/v1/campaigns' })).headers['allow'], 'GET');
  const { submission }: { submission: string } = JSON.parse(
    (await ask(place, { method: 'POST', path: '/v1/submissions' })).text,
  );
  for (const path of ['..%2f..%2fx', '%2fetc%2fx', '.hidden', 'a%5cb', 'a%00b', 'a/../../b', 'x%0ay']) {
    const answer = await ask(place, {
      method: 'PUT',
      path: `/v1/submissions/${submission}/files/${path}`,
      body: 'x',
    });
    assert.ok([404, 422].includes(answer.status), `${path}: ${answer.status}`);
  }
  const garbage = connect(place.socketPath);
  garbage.write('\u0000\u0001 rubbish\r\n\r\nGET / HTTP/1.1\r\n\r\n');
  garbage.resume();
  await once(garbage, 'close');
  assert.equal((await ask(place, { path: '/v1/version' })).status, 200);
  assert.equal((await serving.stop()).code, 0);
});

test('on TCP the token is asked for, the Host must be ours, and the socket is for its group alone', async (context) => {
  const { serving, port } = await openOnTcp(context);
  const path = '/v1/version';
  const bearer = { authorization: `Bearer ${token}` };
  const cases: [Record<string, string>, number][] = [
    [{}, 401],
    [{ authorization: 'Bearer wrong' }, 401],
    [{ authorization: `Basic ${token}` }, 401],
    [bearer, 200],
    [{ ...bearer, host: 'rebound.example' }, 421],
    [{ ...bearer, host: 'ops.example.com' }, 200],
    [{ ...bearer, origin: 'https://ops.example.com' }, 403],
  ];
  for (const [headers, status] of cases)
    assert.equal((await ask({ port }, { path, headers })).status, status, JSON.stringify(headers));
  assert.equal(statSync(join(serving.folder.path, 'state/control.sock')).mode & 0o777, 0o660);
  const url = `http://127.0.0.1:${port}`;
  const without = await serving.run(['status', '--url', url]);
  assert.equal(without.code, 64, without.stderr);
  assert.match(
    await serving.ok(['status', '--url', url], { env: { POSTHASTE_TOKEN: token } }),
    /no campaign yet/,
  );
  const wrong = await serving.run(['status', '--url', url], {
    env: { POSTHASTE_TOKEN: 'another-token-of-none' },
  });
  assert.equal(wrong.code, 77, wrong.stderr);
  assert.equal((await serving.stop()).code, 0);
});

test('on TCP with TLS the certificate is checked by the client, and the token is asked for all the same', async (context) => {
  const { key, cert } = makeCertificate({ names: ['127.0.0.1'] });
  const serving = await openServing(context, 1, {
    config:
      'control: { listen: 0, token: { env: API_TOKEN }, tls: { key: { file: api.key }, cert: api.pem } }\n',
    env: { API_TOKEN: token },
  });
  serving.folder.write('api.key', key);
  serving.folder.write('api.pem', cert);
  const daemon = await serving.start();
  const [, port] = /"tcpPort":(\d+)/.exec(daemon.text()) ?? [];
  const asking = ['status', '--url', `https://127.0.0.1:${port}`];
  const trusting = { NODE_EXTRA_CA_CERTS: join(serving.folder.path, 'api.pem') };
  assert.match(await serving.ok(asking, { env: { ...trusting, POSTHASTE_TOKEN: token } }), /no campaign yet/);
  const unknown = await serving.run(asking, { env: { POSTHASTE_TOKEN: token } });
  assert.deepEqual([unknown.code, /SELF_SIGNED|CERT/.test(unknown.stderr)], [69, true], unknown.stderr);
  assert.equal(
    (await serving.run(asking, { env: { ...trusting, POSTHASTE_TOKEN: 'not-the-right-one-at-all' } })).code,
    77,
  );
  assert.equal((await serving.stop()).code, 0);
});

test('a configuration that would expose the API is refused before anything listens', async (context) => {
  const cases: [string, RegExp][] = [
    ['control: { listen: 8025 }\n', /control\.token is missing/],
    ['control: { listen: "0.0.0.0:8025", token: { env: T } }\n', /control\.listen is beyond loopback/],
    ['control: { listen: 8025, token: short }\n', /control\.token is too short/],
    ['control: { mode: "999" }\n', /control\.mode/],
  ];
  for (const [config, expected] of cases) {
    const serving = await openServing(context, 1, { config });
    const ended = await serving.run(['serve'], { env: { T: token } });
    assert.equal(ended.code, 78, ended.stderr);
    assert.match(ended.stderr, expected);
  }
});

test('a second daemon is refused, a dead one’s socket is taken over, and where none is, commands say so', async (context) => {
  const serving = await openServing(context, 5);
  const none = await serving.run(['pause', 'spring']);
  assert.equal(none.code, 69);
  assert.match(none.stderr, /no daemon answers .*\n {2}start it with posthaste serve/);
  const first = await serving.start();
  const second = await serving.run(['serve']);
  assert.equal(second.code, 75, second.stderr);
  const send = await serving.run(['send', 'campaign.yaml', 'list.csv']);
  assert.equal(send.code, 75, send.stderr);
  first.child.kill('SIGKILL');
  await first.ended;
  await serving.start();
  assert.equal((await serving.stop()).code, 0);
});

test('who asks the daemon needs neither its secrets nor a good configuration', async (context) => {
  const serving = await openServing(context, 20, { config: 'control: { socket: run/c.sock }\n' });
  const { folder } = serving;
  folder.write('run/empty', '');
  folder.write('credentials/api-token', token);
  const config = folder.read('posthaste.yaml');
  folder.write(
    'posthaste.yaml',
    config.replace('{ socket:', '{ listen: 0, token: { credential: api-token }, socket:'),
  );
  folder.write('campaign.yaml', `${folder.read('campaign.yaml')}verp: { secret: { env: VERP_SECRET } }\n`);
  await serving.start({
    env: { CREDENTIALS_DIRECTORY: join(folder.path, 'credentials'), VERP_SECRET: token },
  });
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  folder.write('posthaste.yaml', folder.read('posthaste.yaml').replace('relays:', 'relay:'));
  await serving.ok(['status', 'campaign.yaml']);
  await serving.ok(['results', 'spring']);
  await serving.ok(['relays']);
  const audit = await serving.run(['audit', 'campaign.yaml']);
  assert.ok(audit.code === 0 || audit.code === 75, audit.stderr);
  const reload = await serving.run(['reload']);
  assert.equal(reload.code, 78);
  assert.match(reload.stderr, /unknown key "relay"; did you mean "relays"/);
  assert.equal((await serving.stop()).code, 0);
});
