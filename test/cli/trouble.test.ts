// A relay, a provider or everybody refuses: how soon the program stops asking, and what it ends with.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { campaignYaml, Folder, summaryIn } from './posthaste.ts';

const args = ['send', 'campaign.yaml', 'list.csv', '--config', 'posthaste.yaml', '--json'];
const maxConnections = 4;

async function begin(context: TestContext, faults: readonly string[], domains: readonly string[], more = '') {
  const sandbox = await startSandbox({ keep: 'envelopes', latencyMs: 1, faults: faults.map(parseFault) });
  context.after(() => sandbox.close());
  const rows = Array.from({ length: 3000 }, (_, index) => `r${index}@${domains[index % domains.length]},N`);
  const folder = new Folder(context, {
    'campaign.yaml': campaignYaml,
    'list.csv': `email,first_name\n${rows.join('\n')}\n`,
    'posthaste.yaml':
      `state: state\nthreads: 2\n${more}` +
      `relays: { box: { host: 127.0.0.1, port: ${sandbox.port}, maxConnections: ${maxConnections} } }\n`,
  });
  return { sandbox, folder };
}

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 30_000; !condition();) {
    if (Date.now() > deadline) throw new Error('it did not come to pass within 30 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** So that whoever would go on asking had the time to. */
function aWhile(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1500));
}

/** What may be under way when the first refusal comes: one on each session, and one behind it. */
const mostUnderWay = maxConnections * 2;

test('after a 454 for going too fast nobody asks again, and nobody is charged', async (context) => {
  const throttle = 'mail after 50 messages: 454 4.7.0 Throttling failure: Maximum sending rate exceeded';
  const { sandbox, folder } = await begin(context, [throttle], ['a.example']);
  const running = folder.start(args);
  await until(() => running.text().includes('relay failed'));
  await aWhile();
  const { refused } = sandbox.stats();
  assert.ok(refused.mail >= 1 && refused.mail <= mostUnderWay, `${refused.mail} were refused`);
  running.child.kill('SIGTERM');
  const ended = await running.ended;
  const { end, accepted, deferred } = summaryIn(ended);
  assert.deepEqual(
    [ended.code, end, accepted, deferred],
    [75, 'stopped', sandbox.stats().accepted, 3000 - accepted],
  );
});

test('a provider that throttles is left alone, while everybody else is sent to', async (context) => {
  const throttle = 'rcpt *@gmail.com: 450 4.7.28 unusual rate of unsolicited mail';
  const lanes = 'lanes: { groups: { gmail: {} } }\n';
  const { sandbox, folder } = await begin(context, [throttle], ['gmail.com', 'a.example'], lanes);
  const running = folder.start(args);
  await until(() => sandbox.stats().accepted === 1500);
  await aWhile();
  const { refused } = sandbox.stats();
  assert.ok(refused.rcpt >= 1 && refused.rcpt <= mostUnderWay, `${refused.rcpt} were refused`);
  running.child.kill('SIGTERM');
  assert.equal(summaryIn(await running.ended).accepted, 1500);
});

test('a campaign whose sender is refused is paused with 75 and the reason, and goes on when that is mended', async (context) => {
  const refusal = 'end: 550 5.7.26 Unauthenticated email from mail.example.com is not accepted (DMARC)';
  const { sandbox, folder } = await begin(context, [refusal], ['a.example']);
  const ended = await folder.run(args);
  assert.equal(ended.code, 75, ended.stderr);
  assert.match(ended.stderr, /campaign "spring" is paused: 1\d messages in a row .*5\.7\.26/);
  const burnt = sandbox.stats().refused.end;
  assert.ok(burnt >= 10 && burnt <= 2 * 10 + mostUnderWay, `${burnt} were refused`);
  const mended = await begin(context, [], ['a.example']);
  folder.write('posthaste.yaml', mended.folder.read('posthaste.yaml'));
  const summary = summaryIn(await folder.run(args));
  assert.deepEqual([summary.end, summary.accepted, summary.rejected], ['finished', 3000 - burnt, burnt]);
});

test('wrong credentials are tried once, however many threads and sessions there are', async (context) => {
  const sandbox = await startSandbox({ tls: 'starttls', auth: { user: 'u', pass: 'right' }, latencyMs: 200 });
  context.after(() => sandbox.close());
  const { folder } = await begin(context, [], ['a.example']);
  const tls = 'tls: { rejectUnauthorized: false }, development: true';
  folder.write(
    'posthaste.yaml',
    `state: state\nthreads: 4\nrelays: { box: { host: localhost, port: ${sandbox.port}, maxConnections: 8, ${tls}, auth: { user: u, pass: wrong } } }\n`,
  );
  const ended = await folder.run(args);
  assert.equal(ended.code, 77, ended.stderr);
  assert.equal(sandbox.stats().refused.auth, 1);
});
