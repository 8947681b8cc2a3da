// The table of limits: they come and go by name while threads use them, keep their counts, and say which of them bind.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { attachLimiter } from '../../src/schedule/limiter.ts';
import type { Limit, RateLimit } from '../../src/schedule/limit_record.ts';
import { header } from '../../src/schedule/limiter_memory.ts';
import { LimitTable } from '../../src/schedule/limit_table.ts';
import { mostInWindow } from './windows.ts';

const rateOf = (name: string, count: number, perMs = 1000): RateLimit => ({
  kind: 'rate',
  name,
  rate: { count, perMs },
});

const usedBytes = (table: LimitTable): number =>
  (new Float64Array(table.memory.buffer, 0, 32)[header.usedLength] ?? 0) * 8;

describe('limits that come and go', () => {
  test('a thread that attached before sees a limit that is added, and memory that has grown', () => {
    const table = new LimitTable();
    const limiter = attachLimiter(table.memory, 7);
    const startBytes = table.memory.buffer.byteLength;
    const handles = Array.from({ length: 10_000 }, (_, lane) => table.put(rateOf(`lane ${lane}`, 1)));
    assert.ok(table.memory.buffer.byteLength > startBytes);
    for (const handle of handles) assert.equal(limiter.take([handle], 1000), undefined);
    for (const handle of handles) assert.equal(limiter.take([handle], 1001)?.limit, handle);
  });

  test('10,000 quiet lanes of three limits each take under 20 MiB, and none of it again when they come back', () => {
    const table = new LimitTable();
    const fill = (): void => {
      for (let lane = 0; lane < 10_000; lane += 1) {
        table.put(rateOf(`lane ${lane} per second`, 100));
        table.put(rateOf(`lane ${lane} per day`, 50_000, 86_400_000));
        table.put({ kind: 'concurrent', name: `lane ${lane} connections`, count: 5 });
      }
    };
    fill();
    const bytes = usedBytes(table);
    assert.ok(bytes < 20 * 1024 * 1024, `${bytes} bytes`);
    for (let lane = 0; lane < 10_000; lane += 1) {
      for (const what of ['per second', 'per day', 'connections']) table.remove(`lane ${lane} ${what}`);
    }
    table.sweep(1000);
    fill();
    assert.equal(usedBytes(table), bytes);
  });

  test('a log grows with its traffic and is short again when it has been empty', () => {
    const table = new LimitTable();
    const handle = table.put({ ...rateOf('bursty', 400), burst: 400 });
    const limiter = attachLimiter(table.memory, 7);
    const before = usedBytes(table);
    const spend = (startMs: number): void => {
      for (let at = startMs; at < startMs + 900; at += 2.5) limiter.take([handle], at);
    };
    spend(1000);
    const grown = usedBytes(table);
    assert.ok(grown > before);
    table.sweep(10_000);
    const other = table.put({ ...rateOf('another', 400), burst: 400 });
    for (let at = 20_000; at < 20_900; at += 2.5) limiter.take([other], at);
    assert.ok(usedBytes(table) - grown <= 512, 'the other one uses the blocks that came free');
  });

  test('a limit that was removed holds nobody up, and one put again in time has forgotten nothing', () => {
    const table = new LimitTable();
    const handle = table.put({ ...rateOf('lane', 5), burst: 5 });
    const limiter = attachLimiter(table.memory, 7);
    for (let taken = 0; taken < 5; taken += 1) assert.equal(limiter.take([handle], 1000), undefined);
    table.remove('lane');
    assert.equal(table.handleOf('lane'), undefined);
    assert.equal(limiter.take([handle], 1001), undefined, 'removed');
    table.sweep(1002);
    assert.equal(table.put({ ...rateOf('lane', 5), burst: 5 }), handle);
    assert.equal(limiter.take([handle], 1003)?.limit, handle, 'six were granted in this second');
  });

  test('what names a limit that is gone is limited by the others, and never by who has got its place', () => {
    const table = new LimitTable();
    table.put(rateOf('first', 1));
    const gone = table.put(rateOf('gone', 1));
    const stays = table.put(rateOf('stays', 1000));
    const limiter = attachLimiter(table.memory, 7);
    table.remove('gone');
    table.sweep(1000);
    const successor = table.put(rateOf('successor', 1));
    assert.notEqual(successor, gone);
    assert.equal(successor % 2 ** 24, gone, 'the test is about a place that is used again');
    assert.equal(limiter.take([gone, stays], 1000), undefined);
    assert.equal(limiter.granted(successor), 0);
    assert.equal(limiter.take([successor], 1000), undefined);
    assert.equal(limiter.take([gone, stays], 1002), undefined);
  });

  test('a limit that becomes one of another kind is another limit', () => {
    const table = new LimitTable();
    const first = table.put(rateOf('relay', 1));
    const second = table.put({ kind: 'concurrent', name: 'relay', count: 1 });
    assert.notEqual(first, second);
    assert.equal(table.handleOf('relay'), second);
    assert.equal(attachLimiter(table.memory, 7).take([first], 1000), undefined);
  });

  test('a full memory is said, and the limits that are there go on', () => {
    const table = new LimitTable();
    const limiter = attachLimiter(table.memory, 7);
    const handle = table.put({ ...rateOf('first', 5000), burst: 5000 });
    new Float64Array(table.memory.buffer, 0, 32)[header.usedLength] = 512 * 1024 * 128 - 40;
    assert.throws(() => table.put(rateOf('second', 1)), { code: 'ERR_LIMITS_FULL' });
    // Its log cannot grow any more: neighbours are merged, and the count still errs upwards only.
    const grants: number[] = [];
    for (let at = 1000; at < 4500; at += 0.1) if (limiter.take([handle], at) === undefined) grants.push(at);
    assert.ok(grants.length > 10_000);
    assert.equal(mostInWindow(grants, 1006.6), 5000);
  });
});

describe('several kinds at once', () => {
  test('bytes count what they are given, in every window, and what was not needed comes back', () => {
    const table = new LimitTable();
    const bytes: Limit = { kind: 'bytes', name: 'bytes', rate: { count: 1000, perMs: 1000 }, burst: 1000 };
    const handle = table.put(bytes);
    const limiter = attachLimiter(table.memory, 7);
    assert.equal(limiter.take([handle], 1000, 700), undefined);
    assert.notEqual(limiter.take([handle], 1001, 301), undefined);
    limiter.returnBytes([handle], 1000, 1);
    assert.equal(limiter.take([handle], 1002, 301), undefined);
    assert.notEqual(limiter.take([handle], 1003, 1), undefined);
    assert.equal(limiter.take([handle], 2500, 1001)?.retryAtMs, Infinity, 'more than a window holds');
  });

  test('bytes come back only from where they were counted', () => {
    const table = new LimitTable();
    const bytes: Limit = { kind: 'bytes', name: 'bytes', rate: { count: 1000, perMs: 1000 }, burst: 1000 };
    const handle = table.put(bytes);
    const limiter = attachLimiter(table.memory, 7);
    assert.equal(limiter.take([handle], 1000, 500), undefined);
    assert.equal(limiter.take([handle], 1500, 400), undefined);
    limiter.returnBytes([handle], 1000, 500);
    // The first 500 are forgotten at 2007; from the second 400 nothing was taken.
    assert.equal(limiter.take([handle], 2010, 600), undefined);
    assert.notEqual(limiter.take([handle], 2011, 1), undefined);
  });

  test('bytes that are no longer counted do not come back out of what was granted later', () => {
    const table = new LimitTable();
    const bytes: Limit = { kind: 'bytes', name: 'bytes', rate: { count: 1000, perMs: 1000 }, burst: 1000 };
    const handle = table.put(bytes);
    const limiter = attachLimiter(table.memory, 7);
    assert.equal(limiter.take([handle], 1000, 1000), undefined);
    assert.equal(limiter.take([handle], 2010, 1000), undefined);
    limiter.returnBytes([handle], 1000, 1000);
    assert.notEqual(limiter.take([handle], 2020, 1), undefined);
  });

  test('a look grants nothing, and answers as a take would', () => {
    const table = new LimitTable();
    const handle = table.put({
      kind: 'bytes',
      name: 'bytes',
      rate: { count: 1000, perMs: 1000 },
      burst: 1000,
    });
    const limiter = attachLimiter(table.memory, 7);
    assert.equal(limiter.look([handle], 1000, 1000), undefined);
    assert.equal(limiter.take([handle], 1000, 1000), undefined);
    assert.deepEqual(limiter.look([handle], 1001, 1), limiter.take([handle], 1001, 1));
    assert.equal(limiter.granted(handle), 1000);
  });

  test('who is refused for lack of room hears when there will be enough, and not when there will be some', () => {
    const table = new LimitTable();
    const handle = table.put({
      kind: 'bytes',
      name: 'bytes',
      rate: { count: 1000, perMs: 1000 },
      burst: 1000,
    });
    const limiter = attachLimiter(table.memory, 7);
    for (let at = 1000; at < 1100; at += 10) assert.equal(limiter.take([handle], at, 100), undefined);
    const refusal = limiter.take([handle], 1100, 450);
    assert.ok(
      refusal !== undefined && Math.abs(refusal.retryAtMs - 1040 - 1006.7) < 0.1,
      `${refusal?.retryAtMs}`,
    );
    assert.equal(limiter.take([handle], refusal.retryAtMs, 450), undefined);
  });

  test('those who need little do not keep one who needs much from its turn', () => {
    const table = new LimitTable();
    const handle = table.put({ kind: 'bytes', name: 'bytes', rate: { count: 100_000, perMs: 1000 } });
    const [small, big] = [attachLimiter(table.memory, 7), attachLimiter(table.memory, 8)];
    const grants: { readonly at: number; readonly bytes: number }[] = [];
    let bigAt = 3000;
    for (let at = 1000; at < 20_000; at += 1) {
      if (at >= bigAt) {
        const refusal = big.take([handle], at, 50_000);
        if (refusal === undefined) grants.push({ at, bytes: 50_000 });
        bigAt = refusal === undefined ? at + 3000 : Math.ceil(refusal.retryAtMs) + 1;
      }
      while (small.take([handle], at, 1000) === undefined) grants.push({ at, bytes: 1000 });
    }
    const bigs = grants.filter(({ bytes }) => bytes > 1000);
    assert.ok(bigs.length >= 4, `${bigs.length} of the big ones went`);
    for (const { at: from } of grants) {
      const held = grants
        .filter(({ at }) => at >= from && at < from + 1000)
        .reduce((sum, one) => sum + one.bytes, 0);
      assert.ok(held <= 100_000, `${held} in the second from ${from}`);
    }
  });

  test('in a window of an hour, too, a big one goes beside small ones that would fill it for ever', () => {
    const table = new LimitTable();
    const perMs = 3_600_000;
    const handle = table.put({ kind: 'bytes', name: 'bytes', rate: { count: 1000, perMs }, burst: 1000 });
    const [small, big] = [attachLimiter(table.memory, 7), attachLimiter(table.memory, 8)];
    let [bigAt, bigs, smalls] = [3_700_000, 0, 0];
    for (let at = 1000; at < 4 * perMs; at += 1000) {
      if (at >= bigAt) {
        const refusal = big.take([handle], at, 40);
        if (refusal === undefined) bigs += 1;
        bigAt = refusal === undefined ? at + 600_000 : refusal.retryAtMs;
      }
      if (small.take([handle], at, 2) === undefined) smalls += 1;
    }
    assert.ok(bigs >= 3, `${bigs} of the big ones went`);
    assert.ok(
      smalls * 2 + bigs * 40 > 3 * 1000,
      `${smalls} small ones went: the window is not left empty for it`,
    );
  });

  test('a claim that nobody comes for lapses, and one for hours is none', () => {
    const table = new LimitTable();
    const limiter = attachLimiter(table.memory, 7);
    const second = table.put({
      kind: 'bytes',
      name: 'second',
      rate: { count: 1000, perMs: 1000 },
      burst: 1000,
    });
    const day = table.put({
      kind: 'bytes',
      name: 'day',
      rate: { count: 1000, perMs: 86_400_000 },
      burst: 1000,
    });
    for (const handle of [second, day]) {
      assert.equal(limiter.take([handle], 1000, 600), undefined);
      assert.notEqual(limiter.take([handle], 1001, 500), undefined);
    }
    assert.equal(limiter.take([day], 1002, 400), undefined);
    const refusal = limiter.take([second], 1002, 400);
    assert.ok(refusal !== undefined && refusal.retryAtMs > 2006 && refusal.retryAtMs < 2020);
    assert.equal(limiter.take([second], refusal.retryAtMs, 400), undefined);
  });

  test('what can never go holds nobody up', () => {
    const table = new LimitTable();
    const handle = table.put({ kind: 'bytes', name: 'bytes', rate: { count: 1000, perMs: 1000 } });
    assert.equal(attachLimiter(table.memory, 7).take([handle], 1000, 1001)?.retryAtMs, Infinity);
    assert.deepEqual(table.binding(1000), []);
  });

  test('without a burst bytes keep an even pace from the first message on', () => {
    const table = new LimitTable();
    const handle = table.put({ kind: 'bytes', name: 'bytes', rate: { count: 100_000, perMs: 1000 } });
    const limiter = attachLimiter(table.memory, 7);
    assert.equal(limiter.take([handle], 1000, 10_000), undefined);
    assert.deepEqual(limiter.take([handle], 1001, 10_000), { retryAtMs: 1101, limit: handle });
  });

  test('a burst of 20 goes at once after a silence, and the second it is in still holds 100', () => {
    const table = new LimitTable();
    const handle = table.put({ ...rateOf('relay', 100), burst: 20 });
    const limiter = attachLimiter(table.memory, 7);
    const takeAll = (at: number): number => {
      for (let taken = 0; ; taken += 1) if (limiter.take([handle], at) !== undefined) return taken;
    };
    assert.equal(takeAll(1000), 20);
    let later = 0;
    for (let at = 1001; at < 2000; at += 1) later += takeAll(at);
    assert.equal(later, 80);
    assert.equal(takeAll(60_000), 20);
  });

  test('a quota is used up until its period ends, and nothing goes before the next is begun', () => {
    const table = new LimitTable();
    const day: Limit = { kind: 'quota', name: 'day', count: 2, endsAtMs: 5000 };
    const handle = table.put(day);
    const limiter = attachLimiter(table.memory, 7);
    assert.deepEqual(
      [1000, 1000].map((at) => limiter.take([handle], at)),
      [undefined, undefined],
    );
    assert.deepEqual(limiter.take([handle], 1000), { retryAtMs: 5000, limit: handle });
    table.put({ ...day, count: 3 });
    assert.equal(limiter.take([handle], 1001), undefined, 'raised within the period, the two still count');
    assert.notEqual(limiter.take([handle], 1001), undefined);
    assert.notEqual(limiter.take([handle], 5000), undefined, 'over, and the next not begun');
    table.put({ ...day, endsAtMs: 10_000 });
    assert.equal(limiter.take([handle], 5100), undefined);
  });

  test('the limits that bind are named, each until when, and those that do not are not', () => {
    const table = new LimitTable();
    const handles = [rateOf('relay primary 1/m', 1, 60_000), rateOf('campaign', 1000), rateOf('lane', 1)];
    const [relay = 0, campaign = 0, lane = 0] = handles.map((limit) => table.put(limit));
    const limiter = attachLimiter(table.memory, 7);
    assert.equal(limiter.take([relay, campaign, lane], 1000), undefined);
    limiter.take([relay, campaign, lane], 1100);
    limiter.take([campaign, lane], 1100);
    assert.deepEqual(table.binding(1101), [
      { name: 'relay primary 1/m', untilMs: 61_300, refusals: 1 },
      { name: 'lane', untilMs: 2010, refusals: 1 },
    ]);
    assert.deepEqual(
      table.binding(3000).map(({ name }) => name),
      ['relay primary 1/m'],
    );
    table.put(rateOf('relay primary 1/m', 1000));
    assert.deepEqual(table.binding(3000), []);
  });
});
