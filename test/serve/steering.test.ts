// Steering a campaign while it runs, over restarts, and through the death of the daemon.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { campaignYaml } from '../cli/posthaste.ts';
import { assertEachOnce, isFinished, openServing, type Serving } from './serving.ts';

async function takenAfter(serving: Serving, ms: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return serving.sandbox.stats().taken;
}

test('paused, nothing goes within a second, over a restart, too; resumed, everybody gets it once', async (context) => {
  const serving = await openServing(context, 600, { relay: 'maxConnections: 5, rate: 300/s' });
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(({ pending }) => pending > 0);
  while (serving.sandbox.stats().taken < 50) await takenAfter(serving, 10);
  assert.match((await serving.run(['pause', 'spring'])).stderr, /spring: paused/);
  const atPause = await takenAfter(serving, 500);
  assert.equal(await takenAfter(serving, 700), atPause);
  assert.equal((await serving.stop()).code, 0);
  await serving.start();
  const paused = await serving.show();
  assert.deepEqual([paused.state, paused.reason], ['paused', 'an operator said so']);
  assert.equal(await takenAfter(serving, 500), atPause);
  await serving.ok(['resume', 'spring']);
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 600);
  assert.equal((await serving.stop()).code, 0);
});

test('paused and resumed at once, again and again, it goes on, and nobody gets it twice', async (context) => {
  const serving = await openServing(context, 400, { relay: 'maxConnections: 5, rate: 300/s' });
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  const path = '/v1/campaigns/spring';
  for (let turn = 0; turn < 20; turn += 1) {
    await serving.call({ method: 'PATCH', path, json: { paused: true } });
    await serving.call({ method: 'PATCH', path, json: { paused: false } });
  }
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 400);
  assert.equal((await serving.stop()).code, 0);
});

test('too many complaints pause what is being sent, say why, and it goes on when somebody resumes it', async (context) => {
  const serving = await openServing(context, 1500, { relay: 'maxConnections: 5, rate: 400/s' });
  serving.folder.write('campaign.yaml', `${campaignYaml}pauseAbove: { complaints: 0.01, of: 200 }\n`);
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(({ tally }) => (Object.values(tally)[0] ?? 0) >= 250);
  assert.match((await serving.run(['complaints', 'spring', '2'])).stderr, /spring: sending/);
  await serving.ok(['complaints', 'spring', '1']);
  const { reason } = await serving.until(({ state }) => state === 'paused');
  assert.match(reason ?? '', /3 complaints among the last 200 accepted messages/);
  const atPause = await takenAfter(serving, 500);
  assert.ok(atPause < 1500);
  assert.equal(await takenAfter(serving, 500), atPause);
  const wrong = await serving.run(['complaints', 'spring', '0']);
  assert.deepEqual([wrong.code, /whole number from 1/.test(wrong.stderr)], [64, true]);
  await serving.ok(['resume', 'spring']);
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 1500);
  await serving.ok(['complaints', 'spring', '1']);
  assert.equal((await serving.stop()).code, 0);
});

test('cancelled, whoever waits is cancelled, the rows add up, and retry sends to them', async (context) => {
  const serving = await openServing(context, 600, { relay: 'maxConnections: 5, rate: 300/s' });
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  while (serving.sandbox.stats().taken < 20) await takenAfter(serving, 10);
  await serving.ok(['cancel', 'spring']);
  const { tally, rows } = await serving.until(isFinished);
  const counts = new Map(Object.entries(tally));
  const accepted = counts.get('accepted') ?? 0;
  assert.deepEqual([rows, counts.get('cancelled')], [600, 600 - accepted]);
  assert.equal(serving.sandbox.stats().taken, accepted);
  assert.match(await serving.ok(['audit', 'spring']), /it adds up/);
  const refused = await serving.run(['pause', 'spring']);
  assert.equal(refused.code, 64);
  assert.match(refused.stderr, /is finished/);
  await serving.ok(['retry', 'campaign.yaml', '--only', 'cancelled']);
  await serving.until((one) => isFinished(one) && one.pending === 0 && serving.sandbox.stats().taken === 600);
  assertEachOnce(serving.taken(), 600);
  assert.equal((await serving.stop()).code, 0);
});

test('a rate that is changed holds at once, is shown, and can be taken back', async (context) => {
  const serving = await openServing(context, 2000, { relay: 'maxConnections: 5' });
  serving.folder.write('campaign.yaml', `${campaignYaml}rate: 20/s\n`);
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(({ binds }) => binds === 'campaign spring 20/s');
  await serving.ok(['rate', 'spring', '100/s']);
  const before = serving.sandbox.messages().length;
  await takenAfter(serving, 2500);
  const instants = serving.sandbox
    .messages()
    .slice(before)
    .map(({ receivedAt }) => receivedAt);
  const [first = 0] = instants;
  const inSecond = instants.filter((at) => at >= first + 500 && at < first + 1500).length;
  assert.ok(inSecond > 60 && inSecond <= 101, `${inSecond} within a second`);
  assert.equal((await serving.show()).rate, '100/s');
  await serving.ok(['rate', 'spring', 'none']);
  assert.equal((await serving.show()).rate, undefined);
  await serving.ok(['cancel', 'spring']);
  await serving.until(isFinished);
  assert.equal((await serving.stop()).code, 0);
});

test('killed, the daemon goes on by itself: nobody is lost, and who may have it twice was named', async (context) => {
  const serving = await openServing(context, 3000, { sandbox: { latencyMs: 5 } });
  const daemon = await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  while (serving.sandbox.stats().taken < 500) await takenAfter(serving, 5);
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  const again = await serving.start();
  await serving.until(isFinished);
  const taken = serving.taken();
  assert.equal(taken.size, 3000);
  const twice = [...taken].filter(([, times]) => times > 1).map(([address]) => address);
  for (const address of twice) assert.ok(again.text().includes(address), `${address} was not named`);
  assert.equal((await serving.stop()).code, 0);
});

test('campaigns share by priority what the relay lets through', async (context) => {
  const serving = await openServing(context, 4000, { relay: 'maxConnections: 5, rate: 400/s' });
  serving.folder.write('campaign.yaml', `${campaignYaml}priority: 10\n`);
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv', '--as', 'slow']);
  await serving.ok(['submit', 'campaign.yaml', 'list.csv', '--as', 'fast']);
  await serving.ok(['priority', 'fast', '30']);
  const counts = async (): Promise<number[]> => {
    const views = await Promise.all(['slow', 'fast'].map((name) => serving.show(name)));
    return views.map(({ tally }) => new Map(Object.entries(tally)).get('accepted') ?? 0);
  };
  const [slow0 = 0, fast0 = 0] = await counts();
  let [slow, fast] = [0, 0];
  while (slow + fast < 2000) {
    await takenAfter(serving, 100);
    const [slow1 = 0, fast1 = 0] = await counts();
    [slow, fast] = [slow1 - slow0, fast1 - fast0];
  }
  assert.ok(fast > slow * 2 && fast < slow * 4, `${fast} to ${slow}`);
  for (const name of ['slow', 'fast']) await serving.ok(['cancel', name]);
  assert.equal((await serving.stop()).code, 0);
});
