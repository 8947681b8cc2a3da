import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Extensions } from '../../src/smtp/extensions.ts';
import type { Settled, Transaction } from '../../src/smtp/dialogue.ts';
import type { HandshakeFailure } from '../../src/smtp/handshake.ts';
import { Pool, type Wait, type Work } from '../../src/smtp/pool.ts';
import type { RelayOptions } from '../../src/smtp/relay.ts';
import { makeCertificate } from '../../src/sandbox/certificate.ts';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import type { SandboxOptions } from '../../src/sandbox/options.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';

interface Numbered extends Transaction {
  readonly number: number;
}

/** Work that the test hands out by hand. */
class Bench implements Work<Numbered> {
  backlog = 0;
  begun = 0;
  waitMs = 0;
  /** How long each next session has to wait for leave to be opened; behind the last none has. */
  readonly openingWaitsMs: number[] = [];
  openingsAsked = 0;
  readonly settled: Settled<Numbered>[] = [];
  readonly failures: HandshakeFailure[] = [];

  take(_extensions: Extensions): Numbered | Wait | undefined {
    if (this.backlog === 0) return undefined;
    if (this.waitMs > 0) {
      const delayMs = this.waitMs;
      this.waitMs = 0;
      return { kind: 'wait', delayMs };
    }
    this.backlog -= 1;
    this.begun += 1;
    return {
      number: this.begun,
      mail: 'MAIL FROM:<from@a.example>\r\n',
      rcpt: `RCPT TO:<r${this.begun}@b.example>\r\n`,
      content: `Subject: ${this.begun}\r\n\r\nhello\r\n`,
    };
  }

  takeOpening(): Wait | undefined {
    this.openingsAsked += 1;
    const delayMs = this.openingWaitsMs.shift() ?? 0;
    return delayMs === 0 ? undefined : { kind: 'wait', delayMs };
  }

  settle(settled: Settled<Numbered>): void {
    this.settled.push(settled);
  }

  relayFailed(failure: HandshakeFailure): void {
    this.failures.push(failure);
    this.backlog = 0;
  }

  kinds(): string[] {
    return this.settled.map((one) => one.kind);
  }
}

async function open(
  context: TestContext,
  share: number,
  sandboxOptions: SandboxOptions = {},
  more: Partial<RelayOptions> = {},
) {
  const sandbox = await startSandbox({ keep: 'envelopes', ...sandboxOptions });
  const work = new Bench();
  const pool = new Pool(relayAt(sandbox, more), share, work, () => 0.5);
  context.after(async () => {
    await pool.close();
    await sandbox.close();
  });
  return { sandbox, work, pool };
}

function relayAt(sandbox: Sandbox, more: Partial<RelayOptions>): RelayOptions {
  return {
    name: 'test',
    host: '127.0.0.1',
    port: sandbox.port,
    security: 'plain',
    maxConnections: 5,
    maxMessages: 100,
    pipelining: 'auto',
    inFlight: 16,
    tls: { rejectUnauthorized: true },
    connectionTimeoutMs: 2000,
    greetingTimeoutMs: 2000,
    commandTimeoutMs: 2000,
    endOfDataTimeoutMs: 2000,
    ...more,
  };
}

async function until(condition: () => boolean): Promise<void> {
  const deadlineAt = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadlineAt) throw new Error('what the test waits for did not happen within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function give(work: Bench, pool: Pool<Numbered>, count: number): void {
  work.backlog += count;
  pool.wake();
}

test('no session is opened without work, and no more than the work needs', async (context) => {
  const { sandbox, work, pool } = await open(context, 5);
  pool.wake();
  assert.deepEqual(pool.counts.open, 0);
  give(work, pool, 2);
  await until(() => work.settled.length === 2);
  assert.ok(sandbox.stats().connections <= 2);
});

test('the sessions never exceed the share', async (context) => {
  const { sandbox, work, pool } = await open(context, 3, { latencyMs: 2 });
  give(work, pool, 200);
  await until(() => work.settled.length === 200);
  assert.equal(sandbox.stats().connections, 3);
  assert.deepEqual(new Set(work.kinds()), new Set(['accepted']));
});

test('an idle session notices that the relay closed it, and the next work gets a fresh one', async (context) => {
  const { sandbox, work, pool } = await open(context, 1);
  give(work, pool, 1);
  await until(() => work.settled.length === 1);
  assert.equal(pool.counts.open, 1);
  await sandbox.close();
  await until(() => pool.counts.open === 0);
  const reopened = await startSandbox({ port: sandbox.port });
  context.after(() => reopened.close());
  give(work, pool, 1);
  await until(() => work.settled.length === 2);
  assert.deepEqual(work.kinds(), ['accepted', 'accepted']);
});

test('a session that has had maxMessages says QUIT and is replaced', async (context) => {
  const { sandbox, work, pool } = await open(context, 1, {}, { maxMessages: 3 });
  give(work, pool, 7);
  await until(() => work.settled.length === 7);
  assert.equal(sandbox.stats().connections, 3);
  assert.deepEqual(
    sandbox.messages().map((message) => message.session),
    [1, 1, 1, 2, 2, 2, 3],
  );
});

test('a limit that binds is waited for, and the wait is counted', async (context) => {
  const { work, pool } = await open(context, 2);
  work.waitMs = 80;
  const startedAt = performance.now();
  give(work, pool, 1);
  await until(() => work.settled.length === 1);
  assert.ok(performance.now() - startedAt >= 75);
  assert.ok(pool.counts.permitWaitMs >= 75);
});

test('where a limit lets no session be opened, it is asked again when it says, and the relay has not failed', async (context) => {
  const { sandbox, work, pool } = await open(context, 8);
  work.openingWaitsMs.push(60, 60, 60);
  const startedAt = performance.now();
  give(work, pool, 5);
  await until(() => work.settled.length === 5);
  assert.ok(performance.now() - startedAt >= 175);
  assert.deepEqual(work.failures, []);
  assert.ok(pool.counts.permitWaitMs >= 175, 'nothing was open meanwhile, so this is what all waited for');
  assert.ok(work.openingsAsked <= 4 + sandbox.stats().connections, `asked ${work.openingsAsked} times`);
});

test('while a limit lets no further session be opened, the one that is open sends, and nobody asks all the time', async (context) => {
  const { sandbox, work, pool } = await open(context, 8, {}, { maxMessages: 1000 });
  work.openingWaitsMs.push(0, ...Array.from({ length: 100 }, () => 10_000));
  give(work, pool, 300);
  await until(() => work.settled.length === 300);
  assert.equal(sandbox.stats().connections, 1);
  assert.ok(work.openingsAsked <= 4, `asked ${work.openingsAsked} times`);
  assert.deepEqual(work.failures, []);
});

test('a relay that cannot be reached gives the work back, with the reason', async (context) => {
  const { sandbox, work, pool } = await open(context, 2);
  await sandbox.close();
  give(work, pool, 5);
  await until(() => work.failures.length === 1);
  const [failure] = work.failures;
  assert.deepEqual(
    [failure?.permanent, failure?.verdict.category, failure?.verdict.scope],
    [false, 'network', 'relay'],
  );
  assert.match(failure?.verdict.text ?? '', /ECONNREFUSED/);
});

test('credentials that are refused are a permanent failure; so is a relay without AUTH', async (context) => {
  const auth = { user: 'u', pass: 'wrong' };
  const pair = makeCertificate({ names: ['localhost'] });
  const trusting = {
    security: 'starttls',
    host: 'localhost',
    auth,
    tls: { rejectUnauthorized: true, ca: pair.cert },
  } as const;
  for (const [offered, said] of [
    [{ user: 'u', pass: 'right' }, /535/],
    [undefined, /does not offer AUTH/],
  ] as const) {
    const sandbox = { tls: 'starttls', certificate: pair, auth: offered } as const;
    const { work, pool } = await open(context, 1, sandbox, trusting);
    give(work, pool, 1);
    await until(() => work.failures.length === 1);
    const [failure] = work.failures;
    assert.deepEqual(
      [failure?.permanent, failure?.verdict.category, failure?.verdict.stage],
      [true, 'relay-auth', 'auth'],
    );
    assert.match(failure?.verdict.text ?? '', said);
    assert.equal(work.begun, 0);
  }
});

test('a certificate that nobody vouches for ends the handshake before the password is sent', async (context) => {
  const auth = { user: 'u', pass: 'secret' };
  const { sandbox, work, pool } = await open(
    context,
    1,
    { tls: 'starttls', auth },
    { security: 'starttls', host: 'localhost', auth },
  );
  give(work, pool, 1);
  await until(() => work.failures.length === 1);
  assert.deepEqual([work.failures[0]?.permanent, work.failures[0]?.verdict.category], [true, 'relay-down']);
  assert.match(work.failures[0]?.verdict.text ?? '', /self-signed certificate/);
  assert.equal(sandbox.stats().taken, 0);
});

test('AUTH PLAIN and AUTH LOGIN over verified STARTTLS and TLS from the start', async (context) => {
  for (const [tls, security] of [
    ['starttls', 'starttls'],
    ['implicit', 'tls'],
  ] as const) {
    for (const method of ['PLAIN', 'LOGIN'] as const) {
      const auth = { user: 'shop', pass: 'pässword', methods: [method] };
      const sandbox = await startSandbox({ keep: 'envelopes', tls, auth });
      const work = new Bench();
      const more = {
        security,
        host: 'localhost',
        auth,
        tls: { rejectUnauthorized: true, ca: sandbox.certificate },
      } as const;
      const pool = new Pool(relayAt(sandbox, more), 1, work, () => 0.5);
      context.after(async () => {
        await pool.close();
        await sandbox.close();
      });
      give(work, pool, 2);
      await until(() => work.settled.length === 2 || work.failures.length > 0);
      assert.deepEqual(work.failures, []);
      assert.deepEqual(
        sandbox.messages().map(({ tls: secured, user }) => [secured, user]),
        [
          [true, 'shop'],
          [true, 'shop'],
        ],
      );
    }
  }
});

test('a relay that offers no STARTTLS where it is required never sees a MAIL', async (context) => {
  const { sandbox, work, pool } = await open(context, 1, { tls: 'none' }, { security: 'starttls' });
  give(work, pool, 1);
  await until(() => work.failures.length === 1);
  assert.equal(sandbox.stats().taken, 0);
  assert.equal(work.begun, 0);
});

test('a session that breaks at RCPT costs one attempt, and the others go on', async (context) => {
  const { work, pool } = await open(context, 1, { faults: [parseFault('rcpt r3@b.example first: drop')] });
  give(work, pool, 6);
  await until(() => work.settled.length === 6);
  assert.deepEqual(
    work.settled.map((one) => [one.transaction.number, one.kind]).filter(([, kind]) => kind !== 'accepted'),
    [[3, 'deferred']],
  );
});

test('a relay that stays silent after the end of data leaves that message in doubt when its time is over', async (context) => {
  const { work, pool } = await open(
    context,
    1,
    { faults: [parseFault('end: silence')] },
    { endOfDataTimeoutMs: 300 },
  );
  give(work, pool, 1);
  await until(() => work.settled.length === 1);
  assert.deepEqual(work.kinds(), ['inDoubt']);
  assert.match(work.settled[0]?.verdict.text ?? '', /no reply to end in time/);
});

test('closing waits for what is in flight', async (context) => {
  const { work, pool, sandbox } = await open(context, 1, { latencyMs: 60 });
  give(work, pool, 1);
  await until(() => sandbox.stats().openConnections === 1 && work.begun === 1);
  await pool.close();
  assert.deepEqual(work.kinds(), ['accepted']);
  assert.equal(pool.counts.open, 0);
});

test('what waits for a silent relay is counted: sessions that connect, and transactions on the wire', async (context) => {
  const unmet = await open(context, 2, { faults: [parseFault('greeting: silence')] });
  give(unmet.work, unmet.pool, 5);
  // A relay that nobody has met is asked for one session first.
  await until(() => unmet.pool.counts.connecting === 1);
  assert.deepEqual([unmet.pool.counts.open, unmet.pool.counts.window], [0, 0]);
  await unmet.sandbox.close();
  await until(() => unmet.pool.counts.connecting === 0);
  const silent = await open(context, 1, { faults: [parseFault('end: silence')] });
  give(silent.work, silent.pool, 5);
  await until(() => silent.pool.counts.inFlight === 2);
  assert.deepEqual([silent.pool.counts.busy, silent.pool.counts.window], [1, 2]);
  silent.pool.abort();
  await until(() => silent.work.settled.length >= 2);
});
