// posthaste retry: again for some, by the real program: nobody who accepted gets it twice, whatever happens.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { campaignYaml, Folder, makeList, summaryIn, type Ended } from './posthaste.ts';

async function openRelay(context: TestContext, faults: readonly string[] = []): Promise<Sandbox> {
  const sandbox = await startSandbox({
    keep: 'messages',
    latencyMs: 1,
    faults: faults.map((fault) => parseFault(fault)),
  });
  context.after(() => sandbox.close());
  return sandbox;
}

function at(sandbox: Sandbox): string[] {
  return ['--state', 'state', '--relay', `smtp://127.0.0.1:${sandbox.port}?maxConnections=5`];
}

/** A folder with a campaign that was sent to `rows` recipients over a relay with faults. */
async function sendBadly(
  context: TestContext,
  rows: number,
  faults: readonly string[],
  campaign = campaignYaml,
): Promise<{ folder: Folder; sandbox: Sandbox; ended: Ended }> {
  const sandbox = await openRelay(context, faults);
  const folder = new Folder(context, { 'campaign.yaml': campaign, 'list.csv': makeList(rows) });
  const ended = await folder.run(['send', 'campaign.yaml', 'list.csv', '--json', ...at(sandbox)]);
  assert.equal(ended.code, 0, ended.stderr);
  return { folder, sandbox, ended };
}

function takenBy(...sandboxes: readonly Sandbox[]): string[] {
  return sandboxes.flatMap((one) => one.messages().flatMap((message) => message.recipients));
}

async function assertAudit(folder: Folder, code: number): Promise<void> {
  const audit = await folder.run(['audit', 'spring', '--state', 'state']);
  assert.deepEqual([audit.code, /it adds up/.test(audit.stdout)], [code, true], audit.stdout + audit.stderr);
}

const badFifth = ['rcpt reader7@example.com: 550 5.1.1 no such user', 'rcpt 20%: 552 5.2.2 mailbox full'];

test('those who were rejected for a full mailbox get it in the end, the same message, and nobody else', async (context) => {
  const { folder, sandbox, ended } = await sendBadly(context, 400, badFifth);
  const { accepted, rejected } = summaryIn(ended);
  const better = await openRelay(context);
  const only = ['--only', 'rejected,expired', '--category', 'mailbox-full'];
  const dry = await folder.run(['retry', 'campaign.yaml', ...only, '--dry-run', '--state', 'state']);
  assert.equal(dry.code, 0, dry.stderr);
  const full = Number(/rejected +mailbox-full +(\d+)/.exec(dry.stdout)?.[1]);
  assert.ok(full > 0 && full < rejected, dry.stdout);

  const again = await folder.run([
    'retry',
    'campaign.yaml',
    ...only,
    '--json',
    '--results',
    'out.csv',
    ...at(better),
  ]);
  assert.equal(again.code, 0, again.stderr);
  const [first = ''] = again.stdout.split('\n');
  assert.deepEqual(JSON.parse(first), {
    type: 'retry',
    campaign: 'spring',
    dryRun: false,
    rows: full,
    rejected: full,
  });
  const summary = summaryIn(again);
  assert.deepEqual(
    [summary.end, summary.accepted, summary.rejected],
    ['finished', accepted + full, rejected - full],
  );
  assert.equal(takenBy(better).length, full);
  const taken = takenBy(sandbox, better);
  assert.equal(new Set(taken).size, taken.length, 'nobody got it twice');
  await assertAudit(folder, 0);
  const second = folder
    .read('out.csv')
    .split('\r\n')
    .filter((line) => line.includes(',accepted,') && line.includes(',2,'));
  assert.equal(second.length, full, 'it was their second attempt');
  // The Message-ID is what it was to be the first time.
  const [row] = takenBy(better);
  const id = new RegExp(`^${row},.*<([^>]+)>`, 'm').exec(folder.read('out.csv'))?.[1];
  assert.ok(better.messages()[0]?.data.includes(`<${id}>`), `${row} ${id}`);
});

test('a retry that nobody is for says so and sends nothing', async (context) => {
  const { folder, sandbox } = await sendBadly(context, 20, []);
  const again = await folder.run(['retry', 'campaign.yaml', '--only', 'rejected', '--json', ...at(sandbox)]);
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /nothing to retry: no finished row is rejected/);
  assert.deepEqual([summaryIn(again).end, takenBy(sandbox).length], ['already', 20]);
});

test('who is in doubt may be retried, with a warning that they may get it twice', async (context) => {
  const { folder } = await sendBadly(
    context,
    30,
    ['end reader9@example.com: drop-after-taken'],
    `${campaignYaml}inDoubt: hold\n`,
  );
  const better = await openRelay(context);
  const again = await folder.run(['retry', 'campaign.yaml', '--only', 'inDoubt', '--json', ...at(better)]);
  assert.match(again.stderr, /warning: 1 of them may have the message already/);
  assert.deepEqual(takenBy(better), ['reader9@example.com']);
  assert.equal(summaryIn(again).accepted, 30);
});

test('killed while it sends again, the next one goes on: all get it, and nobody who had accepted gets it twice', async (context) => {
  const { folder, sandbox } = await sendBadly(context, 2500, ['rcpt 60%: 552 5.2.2 mailbox full']);
  const had = takenBy(sandbox).length;
  const better = await openRelay(context);
  const args = ['retry', 'campaign.yaml', '--only', 'rejected', '--json', ...at(better)];
  const running = folder.start(args);
  while (takenBy(better).length < 300 && running.child.exitCode === null) await delay(1);
  running.child.kill('SIGKILL');
  assert.equal((await running.ended).signal, 'SIGKILL');
  await assertAudit(folder, 75);
  // The retry is in the ledger: a second one finds nobody more, and both it and send go on.
  const second = await folder.run(args);
  assert.equal(second.code, 0, second.stderr);
  assert.match(second.stderr, /nothing to retry/);
  assert.deepEqual([summaryIn(second).end, summaryIn(second).accepted], ['finished', 2500]);
  assert.equal(new Set(takenBy(sandbox, better)).size, 2500, 'nobody is lost');
  const twice = had + takenBy(better).length - 2500;
  assert.ok(twice <= 5, `${twice} got it twice; at most one for each session was in doubt`);
  await assertAudit(folder, 0);
});

test('what cannot be retried is refused with the reason', async (context) => {
  const { folder, sandbox } = await sendBadly(context, 10, []);
  const refuse = async (args: readonly string[], code: number, said: RegExp): Promise<void> => {
    const ended = await folder.run(['retry', 'campaign.yaml', ...args, ...at(sandbox)]);
    assert.deepEqual([ended.code, said.test(ended.stderr)], [code, true], ended.stderr);
  };
  await refuse(['--only', 'accepted'], 64, /nobody gets one twice/);
  await refuse(['--only', 'rejected,duplicate'], 64, /first row with the address/);
  await refuse(['--only', 'invalid'], 64, /nobody to send to/);
  await refuse(['--only', 'suppressed'], 64, /must not be mailed/);
  await refuse(['--only', 'bounced'], 64, /"bounced" is no fate.*rejected, expired, inDoubt, cancelled/);
  await refuse([], 64, /--only/);
  await refuse(['--only', 'rejected', '--category', 'full'], 64, /"full" is none of .*mailbox-full/);
  folder.write('campaign.yaml', campaignYaml.replace('it is spring', 'it is autumn'));
  await refuse(['--only', 'rejected'], 65, /begun with another template/);
  await refuse(['--only', 'rejected', '--dry-run'], 65, /begun with another template/);
  folder.write('campaign.yaml', campaignYaml.replace('name: spring', 'name: summer'));
  await refuse(['--only', 'rejected'], 66, /no campaign "summer"/);
  await refuse(['--only', 'rejected', '--dry-run'], 66, /no campaign "summer"/);
  const status = await folder.run(['status', '--state', 'state', '--json']);
  assert.doesNotMatch(status.stdout, /summer/, 'a retry begins no campaign');
});

test('while the list is not read to its end, a retry is refused with what to do', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml });
  // A pipe that has a writer until the test ends: there is always more to come.
  execFileSync('mkfifo', [join(folder.path, 'pipe')]);
  const writer = await open(join(folder.path, 'pipe'), 'r+');
  context.after(() => writer.close());
  const running = folder.start(['send', 'campaign.yaml', 'pipe', ...at(sandbox)]);
  await writer.writeFile(makeList(3000));
  while (takenBy(sandbox).length === 0 && running.child.exitCode === null) await delay(1);
  running.child.kill('SIGKILL');
  await running.ended;
  for (const more of [[], ['--dry-run']]) {
    const ended = await folder.run(['retry', 'campaign.yaml', '--only', 'rejected', ...more, ...at(sandbox)]);
    assert.deepEqual(
      [ended.code, /no complete list.*\n.*posthaste send/.test(ended.stderr)],
      [75, true],
      ended.stderr,
    );
  }
  const { stdout } = await folder.run(['status', '--state', 'state']);
  assert.match(stdout, /spring +stopped while taking in/);
});
