// The limits of a run: which a lane's messages need, what sets their pace, and how people are told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pace } from '../../src/base/quantity.ts';
import { RunLimits, type LaneLimits } from '../../src/daemon/run_limits.ts';
import { attachLimiter } from '../../src/schedule/limiter.ts';
import type { WarmUpPlan } from '../../src/schedule/warm_up.ts';

const [second, day] = [1000, 86_400_000];
const none: Pace = { rates: [] };

function laneOf(name: string, count: number): LaneLimits {
  return { name, pace: { rates: [{ count, perMs: second }] }, maxConnections: undefined };
}

function open(relayPace: Pace, lanes: readonly LaneLimits[] = [], warmUp?: WarmUpPlan) {
  const time = { ms: 1_000_000 };
  const clock = { now: () => 1_800_000_000_000 + time.ms, monotonic: () => time.ms };
  const relay = { name: 'box', pace: relayPace, warmUp };
  const limits = new RunLimits({ pace: none, relays: [relay], lanes }, clock);
  const limiter = attachLimiter(limits.table.memory);
  /** How many messages of a lane go within so many ms. */
  const sendFor = (lane: string, forMs: number): number => {
    let sent = 0;
    for (const end = time.ms + forMs; time.ms < end; time.ms += 1)
      if (limiter.take(limits.of('spring', 'box', lane).limits, time.ms) === undefined) sent += 1;
    return sent;
  };
  const reserve = (): void => {
    while (limits.table.reserve(time.ms, clock.now()).length > 0) limits.table.commit();
  };
  return { limits, time, sendFor, reserve };
}

test('of several rates the shortest sets the pace, and the day only counts', () => {
  const rates = [
    { count: 10, perMs: second },
    { count: 25, perMs: day },
  ];
  const { limits, time, sendFor, reserve } = open({ rates });
  assert.equal(limits.hasQuotas, true);
  assert.equal(sendFor('', second), 0, 'nothing before it is reserved');
  let sent = 0;
  for (let step = 0; step < 50; step += 1) {
    reserve();
    sent += sendFor('', 100);
  }
  assert.equal(sent, 25);
  assert.match(limits.describeHold() ?? '', /^relay box 25\/d until 2027-/);
  time.ms += day * 1.01;
  reserve();
  assert.ok(sendFor('', second) > 0);
});

test('a lane has its own limits beside the shared ones, and each of the others those of other for itself', () => {
  const { limits, sendFor } = open(none, [laneOf('gmail', 2), laneOf('other', 4)]);
  assert.equal(limits.hasQuotas, false);
  for (const name of ['gmail', 'a.example', 'b.example']) sendFor(name, 10 * second);
  const inTen = ['gmail', 'a.example', 'b.example'].map((name) => sendFor(name, 10 * second));
  assert.ok(
    [20, 40, 40].every((most, index) => (inTen[index] ?? 0) <= most && (inTen[index] ?? 0) > most * 0.9),
    inTen.join(),
  );
  assert.equal(sendFor('', 50), 50, 'recipients from before there were lanes have none');
  assert.equal(limits.describeMostRefused(), 'lane gmail 2/s');
});

test('slowed down, a lane or the relay has a share of its pace, and its whole pace again afterwards', () => {
  const lanes = [{ name: 'gmail', pace: { rates: [{ count: 100, perMs: second }] }, maxConnections: 2 }];
  const { limits, sendFor } = open({ rates: [{ count: 50, perMs: second }] }, lanes);
  assert.equal(limits.of('spring', 'box', 'gmail').slots.length, 1);
  sendFor('', second);
  limits.slowDown({ kind: 'relay', name: 'box' }, 0.5);
  sendFor('', 2 * second);
  const half = sendFor('', 4 * second);
  assert.ok(half <= 100 && half > 90, `${half}`);
  limits.slowDown({ kind: 'relay', name: 'box' }, 1);
  sendFor('', 2 * second);
  assert.ok(sendFor('', 4 * second) > 180);
  // Where there is no pace there is nothing to slow down.
  limits.slowDown({ kind: 'lane', name: 'yahoo' }, 0.5);
});

test('warm-up over three days: each has its volume, none before, no limit behind, and the days are those of its zone', () => {
  const firstDay = Date.parse('2027-01-16T00:00:00Z');
  const steps = [30, 60, 120].map((volume, index) => ({ day: index + 1, volume }));
  const { limits, time, sendFor, reserve } = open(none, [], { firstDay, zone: 'UTC', steps, endDay: 4 });
  const start = time.ms;
  const sendOn = (day: number): number => {
    // Noon of that day; the clock of the test begins at 1_800_001_000_000, on 2027-01-15.
    time.ms = start + (firstDay + (day - 1) * 86_400_000 + 43_200_000 - 1_800_001_000_000);
    limits.followTime();
    let sent = 0;
    for (let step = 0; step < 200; step += 1) {
      reserve();
      sent += sendFor('', 5);
    }
    return sent;
  };
  assert.deepEqual([0, 1, 2, 3].map(sendOn), [0, 30, 60, 120]);
  assert.match(limits.describeHold() ?? '', /^relay box warm-up, day 3: 120 until 2027-01-19T00:00:00Z/);
  assert.ok(sendOn(4) > 500);
});

test('a From domain is warmed up over all relays and campaigns, and others are not', () => {
  const time = { ms: 1_000_000 };
  const wall = Date.parse('2026-12-01T12:00:00Z');
  const clock = { now: () => wall + time.ms, monotonic: () => time.ms };
  const warmUp: WarmUpPlan = {
    firstDay: Date.UTC(2026, 11, 1),
    zone: 'UTC',
    steps: [{ day: 1, volume: 30 }],
    endDay: 2,
  };
  const relays = ['one', 'two'].map((name) => ({ name, pace: none }));
  const plan = { pace: none, relays, lanes: [], fromDomains: [{ name: 'new.example', pace: none, warmUp }] };
  const limits = new RunLimits(plan, clock);
  const limiter = attachLimiter(limits.table.memory);
  limits.setCampaign('spring', none, 'new.example');
  limits.setCampaign('summer', none, 'new.example');
  limits.setCampaign('winter', none, 'old.example');
  const send = (campaign: string, relay: string): boolean => {
    while (limits.table.reserve(time.ms, clock.now()).length > 0) limits.table.commit();
    time.ms += 1;
    return limiter.take(limits.of(campaign, relay, '').limits, time.ms) === undefined;
  };
  const sent = Array.from({ length: 100 }, (_, index) =>
    send(index % 2 === 0 ? 'spring' : 'summer', index % 3 === 0 ? 'one' : 'two'),
  );
  assert.equal(sent.filter(Boolean).length, 30);
  assert.match(
    limits.describeBinding('spring', ['one']) ?? '',
    /^from new\.example warm-up, day 1: 30 until/,
  );
  assert.equal(limits.describeBinding('winter', ['one']), undefined);
  assert.ok(send('winter', 'one'));
  // A changed rate of the campaign keeps what it is from, and a reload without the domain lets it go.
  limits.setCampaign('spring', { rates: [{ count: 1000, perMs: second }] });
  assert.ok(!send('spring', 'two'));
  limits.change({ ...plan, fromDomains: [] });
  assert.ok(send('spring', 'two'));
});

test('what limits have granted never goes back, though campaigns and lanes come and go', () => {
  const { limits, time, sendFor } = open({ rates: [{ count: 10, perMs: second }] }, [laneOf('gmail', 5)]);
  const grantedBy = (subject: string): number =>
    limits.countBySubject().find(({ limit }) => limit === subject)?.granted ?? 0;
  limits.setCampaign('spring', { rates: [{ count: 100, perMs: second }] });
  sendFor('gmail', 10 * second);
  const before = grantedBy('campaign');
  assert.ok(before > 0);
  sendFor('gmail', 10 * second);
  limits.dropCampaign('spring');
  time.ms += 10 * second;
  const shared = grantedBy('relay box');
  limits.sweep();
  assert.equal(grantedBy('relay box'), shared, 'what is still there was counted again');
  const after = grantedBy('campaign');
  assert.ok(after > before, 'what was granted since it was looked at last is lost');
  limits.setCampaign('spring', { rates: [{ count: 100, perMs: second }] });
  assert.equal(grantedBy('campaign'), after);
  // Out of the configuration: what it had counted is not counted again as of no lane.
  const lanes = grantedBy('lane gmail');
  limits.change({ pace: none, relays: [{ name: 'box', pace: none }], lanes: [] });
  assert.deepEqual([grantedBy('lane gmail'), grantedBy('lane')], [lanes, 0]);
});

test('a changed configuration lifts no limit for whoever is under way, and an old one goes once all are back', () => {
  const lanes = [laneOf('gmail', 2), laneOf('gone', 2)];
  const { limits, time } = open({ rates: [{ count: 5, perMs: second }] }, lanes);
  const limiter = attachLimiter(limits.table.memory);
  const inHand = ['gmail', 'gone'].map((lane) => limits.of('spring', 'box', lane).limits);
  /** How many messages of a batch from before go within ten seconds. */
  const goBy = (handles: readonly number[], forMs: number): number => {
    let sent = 0;
    for (const end = time.ms + forMs; time.ms < end; time.ms += 1)
      if (limiter.take(handles, time.ms) === undefined) sent += 1;
    return sent;
  };
  const minute = { count: 60, perMs: 60 * second };
  limits.change({
    pace: none,
    relays: [{ name: 'box', pace: { rates: [minute] } }],
    lanes: [{ ...laneOf('gmail', 0), pace: { rates: [minute] } }],
  });
  limits.followTime();
  for (const handles of inHand) {
    const sent = goBy(handles, 2 * second);
    assert.ok(sent > 0 && sent <= 6, `${sent} in two seconds, of 2/s`);
  }
  const names = (): string[] => [...limits.table.counts()].map(({ name }) => name).sort();
  assert.ok(names().includes('lane gone per 1000 ms'));
  time.ms += 6 * second;
  limits.followTime();
  limits.table.sweep(time.ms + 60 * second);
  assert.deepEqual(names(), ['lane gmail per 60000 ms', 'relay box per 60000 ms']);
});

test('bytes and new sessions are limits of their subjects beside messages, and counted apart from them', () => {
  const clock = { now: () => 1_800_000_000_000, monotonic: () => 1_000_000 };
  const kilobytes = (count: number) => [{ count: count * 1000, perMs: second }];
  const plan = {
    pace: { rates: [], connections: [{ count: 50, perMs: second }] },
    relays: [
      {
        name: 'box',
        pace: { rates: [], bytes: kilobytes(10), connections: [{ count: 5, perMs: second }] },
      },
    ],
    lanes: [{ name: 'gmail', pace: { rates: [], bytes: kilobytes(2) }, maxConnections: undefined }],
  };
  const limits = new RunLimits(plan, clock);
  limits.setCampaign('spring', { rates: [{ count: 100, perMs: second }], bytes: kilobytes(4) });
  const limiter = attachLimiter(limits.table.memory);
  const task = limits.of('spring', 'box', 'gmail');
  assert.deepEqual(
    task.bytes.map(({ text }) => text),
    ['relay box bytes 10kB/s', 'campaign spring bytes 4kB/s', 'lane gmail bytes 2kB/s'],
  );
  assert.equal(task.limits.length, 4);
  assert.equal(limits.findTooSmall('spring', ['box'], 4001), 'campaign spring bytes 4kB/s');
  assert.equal(limits.findTooSmall('summer', ['box'], 10_001), 'relay box bytes 10kB/s');
  assert.equal(limits.findTooSmall('summer', ['box', 'other'], 10_001), undefined);
  assert.equal(limits.findTooSmall('spring', ['box'], 4000), undefined);
  assert.equal(limits.ofConnections('box').length, 2);
  assert.equal(limiter.take(limits.ofConnections('box'), 1_000_000), undefined);
  assert.notEqual(limiter.take(limits.ofConnections('box'), 1_000_000), undefined);
  assert.equal(limits.describeBinding('spring', ['box']), 'relay box connectionRate 5/s');
  assert.equal(limiter.take(task.limits, 1_000_000, 1500), undefined);
  assert.notEqual(limiter.take(task.limits, 1_000_000, 1500), undefined);
  // Open sessions work on: what holds up messages is named first, though new sessions may have to wait longer.
  assert.equal(limits.describeBinding('spring', ['box']), 'lane gmail bytes 2kB/s');
  const counts = new Map(limits.countBySubject().map(({ limit, granted }) => [limit, granted]));
  assert.deepEqual(
    [
      'campaign',
      'campaign bytes',
      'relay box bytes',
      'lane gmail bytes',
      'relay box connectionRate',
      'all connectionRate',
    ].map((limit) => counts.get(limit)),
    [1, 1500, 1500, 1500, 1, 1],
  );
});

function planOf(count: number, perMs: number) {
  const relay = { name: 'box', pace: { rates: [], bytes: [{ count, perMs }] } };
  return { pace: none, relays: [relay], lanes: [] };
}

test('changed live, a limit of bytes keeps its count, and one of another time takes its place', () => {
  const clock = { now: () => 1_800_000_000_000, monotonic: () => 1_000_000 };
  const limits = new RunLimits(planOf(10_000, second), clock);
  const limiter = attachLimiter(limits.table.memory);
  assert.equal(limiter.take(limits.of('spring', 'box', '').limits, 1_000_000, 6000), undefined);
  const [before] = limits.of('spring', 'box', '').limits;
  limits.change(planOf(7000, second));
  assert.deepEqual(limits.of('spring', 'box', '').limits, [before]);
  const refusal = limiter.take(limits.of('spring', 'box', '').limits, 1_000_900, 2000);
  assert.ok(refusal !== undefined && refusal.retryAtMs > 1_001_000, 'the 6,000 are forgotten');
  limits.change(planOf(100_000, day));
  assert.equal(limits.hasQuotas, true);
  assert.notDeepEqual(limits.of('spring', 'box', '').limits, [before]);
});
