import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { test, type TestContext } from 'node:test';
import { openWorkerPool, type WorkerPool } from '../../src/dispatch/worker_pool.ts';
import { packRecipients } from '../../src/mail/batch.ts';
import type { CampaignPlan } from '../../src/mail/campaign.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { LimitTable } from '../../src/schedule/limit_table.ts';
import { createLimiter } from '../../src/schedule/limiter.ts';
import type { BatchTask } from '../../src/worker/contract.ts';

const plan: CampaignPlan = {
  id: 1,
  columns: ['email', 'first_name'],
  campaign: {
    name: 'threads',
    from: { name: 'Shop', address: 'shop@a.example' },
    reversePath: 'shop@a.example',
    subject: { file: 'c.yaml', line: 1, source: 'Hello {{ first_name }}' },
    text: { file: 'c.yaml', line: 2, source: 'Hello {{ first_name }}\n' },
    attachments: [],
    headers: [],
  },
};

function taskOf(batchId: number, rows: number): BatchTask {
  const recipients = Array.from({ length: rows }, (_, index) => {
    const address = `r${batchId}-${index + 1}@b.example`;
    return { row: index + 1, line: index + 2, address, cells: [address, `Name${index + 1}`] };
  });
  const bytes = serialize(plan);
  const memory = new SharedArrayBuffer(bytes.byteLength);
  new Uint8Array(memory).set(bytes);
  const payload = packRecipients(recipients);
  return {
    batchId,
    campaignId: 1,
    attempt: 1,
    relay: 0,
    limits: [],
    slots: [],
    bytes: [],
    weight: 1,
    mostWaitMs: 30_000,
    mostSenderRefusals: 3,
    planKey: '1:2',
    plan: memory,
    payload,
  };
}

async function open(context: TestContext, threads: number, limiter = createLimiter([])) {
  const sandbox = await startSandbox({ keep: 'envelopes' });
  const relay = {
    name: 'test',
    host: '127.0.0.1',
    port: sandbox.port,
    security: 'plain',
    maxConnections: 4,
    maxMessages: 1000,
    pipelining: 'auto',
    inFlight: 16,
    tls: { rejectUnauthorized: true },
    connectionTimeoutMs: 5000,
    greetingTimeoutMs: 5000,
    commandTimeoutMs: 5000,
    endOfDataTimeoutMs: 5000,
  } as const;
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-test-'));
  const journal = { directory, run: 'test', durability: 'process' } as const;
  const pool = openWorkerPool({ relays: [relay], connectionLimits: [], dkim: [], threads, limiter, journal });
  context.after(async () => {
    await pool.close();
    await sandbox.close();
    rmSync(directory, { recursive: true });
  });
  return { sandbox, pool, relay };
}

/** How many commits of journals were timed. */
function countCommits(pool: WorkerPool): number {
  return pool.journalTimes().counts.reduce((sum, count) => sum + count, 0);
}

test('a batch comes back with one outcome for each recipient', async (context) => {
  const { sandbox, pool } = await open(context, 1);
  const report = await pool.run(taskOf(7, 120));
  assert.equal(report.batchId, 7);
  assert.deepEqual(
    report.outcomes.map((one) => one.row).sort((a, b) => a - b),
    Array.from({ length: 120 }, (_, index) => index + 1),
  );
  assert.ok(report.outcomes.every((one) => one.kind === 'accepted'));
  assert.equal(
    (report.transactionTimes.end?.counts ?? []).reduce((sum, count) => sum + count, 0),
    120,
  );
  assert.equal(sandbox.stats().accepted, 120);
  assert.deepEqual(pool.composing(), [7]);
});

test('a thread without a task notices that the relay closed its sessions', async (context) => {
  // With piscina's default atomics a thread is blocked between tasks, and its sockets are deaf.
  const { sandbox, pool } = await open(context, 1);
  await pool.run(taskOf(1, 40));
  await until(() => pool.gauges(0).sessionsOpen > 0);
  await sandbox.close();
  await until(() => pool.gauges(0).sessionsOpen === 0);
});

test('a batch that is under way when the order to stop comes gives back what was not begun', async (context) => {
  const { sandbox, pool } = await open(context, 1);
  const running = pool.run(taskOf(1, 5000));
  await until(() => sandbox.stats().accepted > 100);
  pool.stop('drain');
  const { outcomes } = await running;
  const accepted = outcomes.filter((one) => one.kind === 'accepted').length;
  const unsent = outcomes.filter((one) => one.kind === 'unsent');
  assert.equal(outcomes.length, 5000);
  assert.equal(accepted, sandbox.stats().accepted);
  assert.ok(unsent.length > 0 && unsent.every((one) => one.verdict.scope === 'us'));
});

test('a recall that overtakes a batch is minded when the batch arrives', async (context) => {
  const table = new LimitTable();
  // Nobody is sent to within this test: only a recall brings anybody back.
  const limit = table.put({ kind: 'rate', name: 'slow', rate: { count: 1, perMs: 86_400_000 } });
  const { pool } = await open(context, 1, table.memory);
  const slow = { ...taskOf(1, 50), limits: [limit] };
  // The thread is not even there when it is told, and hears of the batch only afterwards.
  const running = pool.run(slow);
  pool.recallCampaign(slow.campaignId);
  const { outcomes } = await running;
  assert.deepEqual([outcomes.length, new Set(outcomes.map(({ kind }) => kind)).size], [50, 1]);
  assert.equal(outcomes[0]?.kind, 'unsent');
  // Given afterwards, it is another matter: one goes, and the rest waits until it is called back.
  const later = pool.run({ ...slow, batchId: 2 });
  await pool.run({ ...taskOf(3, 5), campaignId: 2 });
  pool.recallCampaign(slow.campaignId);
  assert.deepEqual((await later).outcomes.map(({ kind }) => kind).sort(), [
    'accepted',
    ...Array(49).fill('unsent'),
  ]);
});

test('campaigns share the sessions of a relay', async (context) => {
  const { sandbox, pool } = await open(context, 1);
  const other = { ...plan, id: 2, campaign: { ...plan.campaign, name: 'other' } };
  const bytes = serialize(other);
  const memory = new SharedArrayBuffer(bytes.byteLength);
  new Uint8Array(memory).set(bytes);
  await pool.run(taskOf(1, 50));
  const { connections } = sandbox.stats();
  await pool.run({ ...taskOf(2, 50), campaignId: 2, planKey: '2:2', plan: memory });
  assert.equal(sandbox.stats().taken, 100);
  assert.equal(sandbox.stats().connections, connections);
});

test('a plan that does not compile fails its task and not the thread', async (context) => {
  const { pool } = await open(context, 1);
  const broken = {
    ...plan,
    campaign: { ...plan.campaign, subject: { file: 'c.yaml', line: 1, source: '{{ nobody }}' } },
  };
  const bytes = serialize(broken);
  const memory = new SharedArrayBuffer(bytes.byteLength);
  new Uint8Array(memory).set(bytes);
  await assert.rejects(pool.run({ ...taskOf(1, 3), planKey: 'broken', plan: memory }), /nobody/);
  assert.equal((await pool.run(taskOf(2, 3))).outcomes.length, 3);
});

async function until(condition: () => boolean): Promise<void> {
  const deadlineAt = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadlineAt) throw new Error('what the test waits for did not happen within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test('totals go on where a thread that died has left them', async (context) => {
  const { pool } = await open(context, 1);
  await pool.run(taskOf(1, 400));
  await until(() => countCommits(pool) > 0);
  // Until what it had to tell is told.
  let before = 0;
  await until(() => {
    const { activeMs } = pool.gauges(0);
    const isStill = activeMs === before;
    before = activeMs;
    return isStill;
  });
  const commits = countCommits(pool);
  const broken = packRecipients([{ row: 1, line: 2, address: 'a@b.example', cells: [] }]);
  const withoutCells = Buffer.from(Buffer.from(broken).toString().replace('[]]', 'null]'));
  await assert.rejects(pool.run({ ...taskOf(2, 1), payload: withoutCells }), TypeError);
  await pool.run(taskOf(3, 1));
  await until(() => countCommits(pool) !== commits);
  assert.ok(countCommits(pool) > commits);
  assert.ok(pool.gauges(0).activeMs > before);
});

test('what was waited for permits is not forgotten where a reload gives a relay new sessions', async (context) => {
  const limiter = createLimiter([{ kind: 'rate', name: 'slow', rate: { count: 20, perMs: 1000 } }]);
  const { sandbox, pool, relay } = await open(context, 1, limiter);
  await pool.run({ ...taskOf(1, 8), limits: [0] });
  await until(() => pool.gauges(0).permitWaitMs > 200);
  const { permitWaitMs } = pool.gauges(0);
  pool.change({ relays: [{ ...relay, maxMessages: 7 }], connectionLimits: [], dkim: [] });
  await until(() => pool.gauges(0).sessionsOpen === 0);
  await pool.run(taskOf(2, 8));
  await until(() => pool.gauges(0).sessionsOpen > 0);
  assert.ok(pool.gauges(0).permitWaitMs >= permitWaitMs);
  assert.equal(sandbox.stats().accepted, 16);
});
