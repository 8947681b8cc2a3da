// Lanes and limits of the configuration, as the relay sees them.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import type { SandboxOptions } from '../../src/sandbox/options.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { campaignYaml, Folder, summaryIn } from './posthaste.ts';

const args = ['send', 'campaign.yaml', 'list.csv', '--config', 'posthaste.yaml', '--json'];

async function openRelay(context: TestContext, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await startSandbox({ keep: 'envelopes', ...options });
  context.after(() => sandbox.close());
  return sandbox;
}

function configFor(sandbox: Sandbox, more: string, relay = ''): string {
  return `state: state\nrelays: { box: { host: 127.0.0.1, port: ${sandbox.port}${relay} } }\n${more}`;
}

/** "email,first_name" and a recipient of each domain in turn, `rows` in all. */
function listOf(domains: readonly string[], rows: number): string {
  const lines = Array.from(
    { length: rows },
    (_, index) => `reader${index + 1}@${domains[index % domains.length]},N${index + 1}`,
  );
  return `email,first_name\n${lines.join('\n')}\n`;
}

function countAt(sandbox: Sandbox, domain: string): number {
  return sandbox.messages().filter(({ recipients }) => recipients[0]?.endsWith(`@${domain}`)).length;
}

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 30_000; !condition();) {
    if (Date.now() > deadline) throw new Error('it did not come to pass within 30 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('a lane that is held delays no other: when the free ones are through, it has had what its rate grants', async (context) => {
  const sandbox = await openRelay(context);
  const lanes =
    'lanes: { groups: { gmail: { rate: 10/s }, slow: { domains: [slow.example], rate: 10/m } } }\n';
  const folder = new Folder(context, {
    'campaign.yaml': campaignYaml,
    // Both held lanes have many more batches than all hands together.
    'list.csv':
      listOf(['gmail.com', 'slow.example'], 12_000) +
      listOf(['free.example'], 6000).slice('email,first_name\n'.length).replaceAll('reader', 'free'),
    'posthaste.yaml': configFor(sandbox, lanes),
  });
  const startedAt = performance.now();
  const running = folder.start(args);
  await until(() => countAt(sandbox, 'free.example') === 6000);
  const seconds = (performance.now() - startedAt) / 1000;
  const held = countAt(sandbox, 'gmail.com');
  assert.ok(held <= 10 * Math.ceil(seconds), `${held} in ${seconds} s`);
  assert.ok(countAt(sandbox, 'slow.example') <= 10 * Math.ceil(seconds / 60));
  running.child.kill('SIGTERM');
  const summary = summaryIn(await running.ended);
  assert.deepEqual([summary.end, summary.accepted], ['stopped', sandbox.messages().length]);
});

test('lanes that are edited while a list is half read change neither the list nor who is sent to', async (context) => {
  const sandbox = await openRelay(context);
  const list = listOf(['gmail.com', 'yahoo.com', 'a.example'], 30_000);
  const folder = new Folder(context, {
    'campaign.yaml': campaignYaml,
    'list.csv': list,
    'posthaste.yaml': configFor(sandbox, 'lanes: { groups: { gmail: {} } }\n'),
  });
  const running = folder.start(args);
  await until(() => sandbox.messages().length > 0);
  running.child.kill('SIGKILL');
  await running.ended;
  folder.write('posthaste.yaml', configFor(sandbox, 'lanes: { groups: { yahoo: {} }, others: domain }\n'));
  const ended = await folder.run(args);
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stderr, /lanes were changed/);
  assert.equal(summaryIn(ended).accepted, 30_000);
  assert.equal(new Set(sandbox.messages().map(({ recipients }) => recipients[0])).size, 30_000);
});

test('rows that are sent again are in the lane of their domain', async (context) => {
  const sandbox = await openRelay(context, { faults: [parseFault('rcpt first: 550 5.1.1 who')] });
  const folder = new Folder(context, {
    'campaign.yaml': campaignYaml,
    'list.csv': listOf(['gmail.com', 'free.example'], 10),
    'posthaste.yaml': configFor(sandbox, ''),
  });
  assert.equal(summaryIn(await folder.run(args)).rejected, 10);
  folder.write('posthaste.yaml', configFor(sandbox, 'lanes: { groups: { gmail: { rate: 2/h } } }\n'));
  const running = folder.start(args.with(0, 'retry').toSpliced(2, 1, '--only', 'rejected'));
  await until(() => countAt(sandbox, 'free.example') === 5 || running.child.exitCode !== null);
  running.child.kill('SIGTERM');
  const ended = await running.ended;
  assert.equal(ended.code, 75, ended.stderr);
  assert.ok(countAt(sandbox, 'gmail.com') <= 1);
});

test('a lane with maxConnections is sent to its end, as are those beside it', async (context) => {
  const sandbox = await openRelay(context, { latencyMs: 5 });
  const folder = new Folder(context, {
    'campaign.yaml': campaignYaml,
    'list.csv': listOf(['gmail.com', 'free.example'], 400),
    'posthaste.yaml': configFor(
      sandbox,
      'threads: 2\nlanes: { groups: { gmail: { maxConnections: 1 } } }\n',
      ', maxConnections: 6',
    ),
  });
  const ended = await folder.run(args);
  assert.equal(summaryIn(ended).accepted, 400, ended.stderr);
});

test('a quota of a day is never exceeded, over kills and restarts', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, {
    'campaign.yaml': campaignYaml,
    'list.csv': listOf(['a.example', 'gmail.com'], 300),
    'posthaste.yaml': configFor(
      sandbox,
      'lanes: { groups: { gmail: { rate: [1000/s, 20/d] } } }\n',
      ', maxConnections: 1, rate: [100/s, 50/d]',
    ),
  });
  for (const target of [7, 15, 22]) {
    const running = folder.start(args);
    await until(() => sandbox.messages().length >= target || running.child.exitCode !== null);
    running.child.kill('SIGKILL');
    await running.ended;
  }
  const running = folder.start(args);
  // What a kill leaves reserved, and granted without an answer, is lost for the day.
  await until(() => sandbox.messages().length >= 38);
  await new Promise((resolve) => setTimeout(resolve, 500));
  running.child.kill('SIGTERM');
  const ended = await running.ended;
  assert.equal(ended.code, 75, ended.stderr);
  assert.ok(sandbox.messages().length <= 50, `${sandbox.messages().length}`);
  assert.ok(countAt(sandbox, 'gmail.com') <= 20);
});

test('the summary names the limit that binds, and until when', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, {
    'campaign.yaml': campaignYaml,
    'list.csv': listOf(['a.example'], 20),
    'posthaste.yaml': configFor(sandbox, '', ', rate: [1000/s, 5/d], burst: 5'),
  });
  const running = folder.start(args);
  await until(() => sandbox.messages().length === 5);
  // What led up to this may have taken long on a busy machine; most of the run is to be waiting.
  await new Promise((resolve) => setTimeout(resolve, 4000));
  running.child.kill('SIGTERM');
  const ended = await running.ended;
  assert.match(summaryIn(ended).limitedBy, /the rate limit \(relay box 5\/d until 20\d\d-/, ended.stderr);
  assert.equal(sandbox.messages().length, 5);
});
