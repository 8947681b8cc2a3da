// Header and envelope by the real program against the sandbox: what the relay is asked for, and what never leaves.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import PostalMime from 'postal-mime';
import { parseVerp, verpCampaign } from '../../src/mail/verp.ts';
import { parseExtensions } from '../../src/sandbox/extensions.ts';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import type { SandboxOptions } from '../../src/sandbox/options.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { campaignYaml, Folder, makeList, summaryIn, type Ended } from './posthaste.ts';

const secret = 'a secret of some length';

async function openRelay(context: TestContext, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await startSandbox({ keep: 'messages', inspect: true, ...options });
  context.after(() => sandbox.close());
  return sandbox;
}

interface Run {
  readonly sandbox: Sandbox;
  readonly keys: string;
  readonly list?: string;
  readonly pipelining?: string;
}

async function send(context: TestContext, run: Run): Promise<{ ended: Ended; results: string }> {
  const { sandbox, keys, list = makeList(20), pipelining = 'auto' } = run;
  const scheme = sandbox.certificate === undefined ? 'smtp' : 'smtp+starttls';
  const folder = new Folder(context, {
    'campaign.yaml': `${campaignYaml}${keys}`,
    'list.csv': list,
    'verp.key': secret,
    'ca.pem': sandbox.certificate ?? '',
  });
  const ca = sandbox.certificate === undefined ? '' : '&ca=ca.pem';
  const relay = `${scheme}://127.0.0.1:${sandbox.port}?maxConnections=2&pipelining=${pipelining}${ca}`;
  const args = [
    'send',
    'campaign.yaml',
    'list.csv',
    '--state',
    'state',
    '--json',
    '--results',
    'out.csv',
    '--relay',
    relay,
  ];
  const ended = await folder.run(args);
  return { ended, results: folder.read('out.csv') };
}

function assertNoViolations(sandbox: Sandbox): void {
  const counts = Object.entries(sandbox.stats().violations).filter(([, count]) => count > 0);
  assert.deepEqual(counts, []);
}

const verp = 'returnPath: bounces@example.com\nverp: { secret: { file: verp.key } }\n';

test('with VERP each row has its own reverse-path, and the same one after greylisting and a lost reply', async (context) => {
  const faults = [
    parseFault('rcpt 50% first: 451 4.7.1 greylisted'),
    parseFault('end 30% first: drop-after-taken'),
  ];
  const sandbox = await openRelay(context, { faults });
  const { ended } = await send(context, { sandbox, keys: verp, list: makeList(40) });
  assert.equal(summaryIn(ended).accepted, 40, ended.stderr);
  const paths = new Map<string, Set<string>>();
  for (const { recipients, reversePath } of sandbox.messages()) {
    const address = recipients[0] ?? '';
    paths.set(address, (paths.get(address) ?? new Set()).add(reversePath));
    assert.deepEqual(parseVerp(reversePath, secret), {
      kind: 'verp',
      campaign: verpCampaign('spring'),
      row: Number(/\d+/.exec(address)?.[0]),
    });
  }
  assert.equal(paths.size, 40);
  assert.ok(sandbox.messages().length > 40, 'some message came twice');
  assert.ok(sandbox.stats().refused.rcpt > 0, 'some recipient was greylisted');
  for (const [address, seen] of paths) assert.equal(seen.size, 1, address);
  assertNoViolations(sandbox);
});

const dsn = 'dsn: { ret: hdrs, notify: [failure, delay] }\n';

test('DSN parameters go to a relay that offers DSN', async (context) => {
  for (const pipelining of ['off', 'deep']) {
    const sandbox = await openRelay(context);
    const { ended } = await send(context, { sandbox, keys: dsn, pipelining });
    assert.equal(summaryIn(ended).accepted, 20, ended.stderr);
    for (const message of sandbox.messages()) {
      assert.deepEqual(message.rcptParameters, [
        ['NOTIFY=FAILURE,DELAY', `ORCPT=rfc822;${message.recipients[0]}`],
      ]);
      assert.ok(message.mailParameters.includes('RET=HDRS'));
      const row = /\d+/.exec(message.recipients[0] ?? '')?.[0];
      const { messageId } = await PostalMime.parse(message.data);
      const envid = message.mailParameters.find((one) => one.startsWith('ENVID='))?.slice(6);
      assert.ok(envid?.endsWith(`.${row}`) === true && messageId?.startsWith(`<${envid}@`) === true, envid);
    }
    assertNoViolations(sandbox);
  }
});

test('DSN parameters do not go to a relay that does not offer DSN', async (context) => {
  const sandbox = await openRelay(context, { extensions: parseExtensions('-DSN') });
  const { ended } = await send(context, { sandbox, keys: dsn });
  assert.equal(summaryIn(ended).accepted, 20, ended.stderr);
  for (const { mailParameters, rcptParameters } of sandbox.messages()) {
    assert.deepEqual(rcptParameters, [[]]);
    assert.ok(mailParameters.every((one) => one.startsWith('SIZE=')));
  }
  assertNoViolations(sandbox);
});

const mixed =
  'email,first_name\nann@example.com,Ann\njörg@bücher.example,Jörg\n用户@example.com,用户\nben@example.com,Ben\n';

test('an address for SMTPUTF8 goes over a relay that offers it, counted in octets', async (context) => {
  for (const pipelining of ['off', 'standard', 'deep']) {
    const sandbox = await openRelay(context);
    const { ended } = await send(context, {
      sandbox,
      keys: 'to: "{{ first_name }}"\n',
      list: mixed,
      pipelining,
    });
    assert.equal(summaryIn(ended).accepted, 4, ended.stderr);
    const messages = sandbox.messages();
    const byRecipient = new Map(messages.map((message) => [message.recipients[0], message]));
    const jorg = byRecipient.get('jörg@xn--bcher-kva.example');
    assert.deepEqual(jorg?.mailParameters, [`SIZE=${jorg?.data.length}`, 'BODY=8BITMIME', 'SMTPUTF8']);
    assert.match(
      jorg.data.toString('utf8'),
      /^To: =\?UTF-8\?B\?SsO2cmc=\?= <jörg@xn--bcher-kva\.example>\r$/m,
    );
    assert.ok(byRecipient.has('用户@example.com'));
    assert.deepEqual(byRecipient.get('ann@example.com')?.mailParameters.length, 1);
    assertNoViolations(sandbox);
  }
});

test('without SMTPUTF8, or without 8BITMIME beside it, such a row is rejected with its reason and nothing of it is sent', async (context) => {
  for (const extensions of ['-SMTPUTF8', '-8BITMIME']) {
    const sandbox = await openRelay(context, { extensions: parseExtensions(extensions) });
    const { ended, results } = await send(context, { sandbox, keys: '', list: mixed });
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual([summaryIn(ended).accepted, summaryIn(ended).rejected], [2, 2]);
    assert.equal(results.match(/an address needs SMTPUTF8, which the relay does not offer/g)?.length, 2);
    assert.deepEqual(
      [sandbox.stats().taken, sandbox.stats().refused.mail, sandbox.stats().refused.rcpt],
      [2, 0, 0],
    );
    assertNoViolations(sandbox);
  }
});

test('a Sender for SMTPUTF8 is no recipient’s fault: a relay without it is refused before anything is sent', async (context) => {
  const keys = 'sender: jörg@example.com\n';
  const good = await openRelay(context);
  assert.equal(summaryIn((await send(context, { sandbox: good, keys })).ended).accepted, 20);
  const bad = await openRelay(context, { extensions: parseExtensions('-SMTPUTF8') });
  const { ended } = await send(context, { sandbox: bad, keys });
  assert.deepEqual([ended.code, /ERR_RELAY_LACKS_EXTENSION/.test(ended.stdout)], [69, true], ended.stdout);
  assert.equal(bad.stats().taken, 0);
});

test('requireTls is said to a relay that offers REQUIRETLS inside TLS', async (context) => {
  const sandbox = await openRelay(context, { tls: 'starttls' });
  const { ended } = await send(context, { sandbox, keys: 'requireTls: true\n' });
  assert.equal(summaryIn(ended).accepted, 20, ended.stderr);
  assert.ok(
    sandbox.messages().every(({ mailParameters, tls }) => tls && mailParameters.includes('REQUIRETLS')),
  );
  assertNoViolations(sandbox);
});

test('with requireTls nothing is sent without TLS, or without the offer, and no recipient is charged', async (context) => {
  const relays: SandboxOptions[] = [{}, { tls: 'starttls', extensions: parseExtensions('-REQUIRETLS') }];
  for (const options of relays) {
    const sandbox = await openRelay(context, options);
    const { ended, results } = await send(context, { sandbox, keys: 'requireTls: true\n' });
    assert.equal(ended.code, 69, ended.stderr);
    assert.match(ended.stdout, /ERR_RELAY_LACKS_EXTENSION/);
    assert.match(ended.stderr, /does not offer REQUIRETLS \(RFC 8689\)/);
    assert.deepEqual([sandbox.stats().taken, sandbox.stats().refused.mail], [0, 0]);
    assert.doesNotMatch(results, /rejected|invalid|expired/);
    assertNoViolations(sandbox);
  }
});

test('a campaign that Gmail would refuse is refused with every finding, and sends nothing', async (context) => {
  const sandbox = await openRelay(context);
  const keys = 'precedence: bulk\nheaders: { List-Unsubscribe: "<https://a.example/u>", Precedence: list }\n';
  const folder = new Folder(context, { 'campaign.yaml': `${campaignYaml}${keys}`, 'list.csv': makeList(5) });
  const args = [
    'send',
    'campaign.yaml',
    'list.csv',
    '--state',
    'state',
    '--json',
    '--relay',
    `smtp://127.0.0.1:${sandbox.port}`,
  ];
  const ended = await folder.run(args);
  assert.equal(ended.code, 65, ended.stderr);
  assert.match(ended.stdout, /ERR_CAMPAIGN_LINT/);
  assert.match(ended.stderr, /duplicate-field: Precedence occurs 2 times/);
  assert.match(ended.stderr, /unsubscribe-without-post: List-Unsubscribe has no List-Unsubscribe-Post/);
  assert.equal(sandbox.stats().taken, 0);
  // Nothing was stored, so the corrected campaign may have the name.
  folder.write('campaign.yaml', `${campaignYaml}unsubscribe: { url: "https://a.example/u" }\n`);
  const mended = await folder.run(args);
  assert.equal(summaryIn(mended).accepted, 5, mended.stderr);
  assert.doesNotMatch(mended.stderr, /List-Unsubscribe/);
});

test('a campaign without List-Unsubscribe is sent, with a warning that says what to do', async (context) => {
  const sandbox = await openRelay(context);
  const { ended } = await send(context, { sandbox, keys: '' });
  assert.equal(summaryIn(ended).accepted, 20);
  assert.equal(
    ended.stderr.match(/There is no List-Unsubscribe.*set unsubscribe\.url/g)?.length,
    1,
    ended.stderr,
  );
});
