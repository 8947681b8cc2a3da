// The recorder: what events and samples come to in a scrape, and that promtool finds no fault with it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { createFanout, type Fanout } from '../../src/events/fanout.ts';
import type { PosthasteEvent } from '../../src/mail/event.ts';
import { definitions, metricsTable } from '../../src/metrics/definitions.ts';
import { createRecorder, type Recorder, type RecorderOptions } from '../../src/metrics/recorder.ts';
import { bucketsSeconds, oneOfEach, relayDown, sample, settledBatch } from './fixtures.ts';

interface Setup {
  fanout: Fanout<PosthasteEvent>;
  recorder: Recorder;
  errors: unknown[];
}

function setUp(changes: Partial<RecorderOptions> = {}): Setup {
  const fanout = createFanout<PosthasteEvent>((thrown) => {
    throw thrown;
  });
  const errors: unknown[] = [];
  const recorder = createRecorder({
    version: '1.2.3',
    relays: ['primary', 'second'],
    isLane: (lane) => lane === 'gmail',
    transactionBucketsSeconds: bucketsSeconds,
    events: fanout,
    sample: () => Promise.resolve(sample),
    onError: (thrown) => errors.push(thrown),
    ...changes,
  });
  return { fanout, recorder, errors };
}

/** Samples of a scrape: name with labels → value. */
function parseScrape(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}

async function scrape(recorder: Recorder): Promise<Map<string, number>> {
  return parseScrape(await recorder.render());
}

function ownSeries(found: Map<string, number>): string[] {
  return [...found.keys()].filter((name) => name.startsWith('posthaste_'));
}

function assertSamples(found: Map<string, number>, expected: Record<string, number>): void {
  const part = Object.fromEntries(Object.keys(expected).map((name) => [name, found.get(name)]));
  assert.deepEqual(part, expected);
}

describe('events', () => {
  test('rows, outcomes, replies and categories are counted', async () => {
    const { fanout, recorder } = setUp();
    for (const event of oneOfEach) fanout.publish(event);
    assertSamples(await scrape(recorder), {
      'posthaste_rows_total{fate="accepted"}': 480,
      'posthaste_rows_total{fate="rejected"}': 60,
      'posthaste_rows_total{fate="invalid"}': 3,
      'posthaste_rows_total{fate="duplicate"}': 2,
      'posthaste_rows_total{fate="cancelled"}': 7,
      'posthaste_rows_total{fate="suppressed"}': 1,
      'posthaste_rows_total{fate="expired"}': 0,
      'posthaste_outcomes_total{relay="primary",kind="accepted"}': 400,
      'posthaste_outcomes_total{relay="second",kind="deferred"}': 10,
      'posthaste_outcomes_total{relay="second",kind="inDoubt"}': 0,
      'posthaste_replies_total{relay="primary",class="5yz",stage="rcpt"}': 50,
      'posthaste_rejections_total{relay="primary",category="no-such-recipient"}': 50,
      'posthaste_deferrals_total{relay="primary",category="unclassified"}': 50,
      'posthaste_relay_up{relay="primary"}': 0,
      'posthaste_relay_up{relay="second"}': 1,
      'posthaste_relay_failures_total{relay="primary",category="relay-down"}': 1,
      posthaste_campaigns_running: 1,
      [`posthaste_build_info{version="1.2.3",node="${process.versions.node}"}`]: 1,
    });
    recorder.close();
  });

  test('the buckets that threads counted are added up and rendered cumulatively', async () => {
    const { fanout, recorder } = setUp();
    fanout.publish(settledBatch('one', 'primary', 100));
    fanout.publish(settledBatch('two', 'primary', 100));
    assertSamples(await scrape(recorder), {
      'posthaste_transaction_seconds_bucket{relay="primary",stage="end",le="0.01"}': 20,
      'posthaste_transaction_seconds_bucket{relay="primary",stage="end",le="0.1"}': 180,
      'posthaste_transaction_seconds_bucket{relay="primary",stage="end",le="1"}': 180,
      'posthaste_transaction_seconds_bucket{relay="primary",stage="end",le="+Inf"}': 200,
      'posthaste_transaction_seconds_sum{relay="primary",stage="end"}': 10,
      'posthaste_transaction_seconds_count{relay="primary",stage="end"}': 200,
      'posthaste_transaction_seconds_count{relay="second",stage="end"}': 0,
    });
    recorder.close();
  });

  test('what an alert counts is there at 0 before it happens first, or that first time would be no increase', async () => {
    const { recorder } = setUp();
    assertSamples(await scrape(recorder), {
      'posthaste_relay_failures_total{relay="second",category="relay-auth"}': 0,
      'posthaste_rejections_total{relay="second",category="reputation"}': 0,
      'posthaste_rejections_total{relay="second",category="authentication"}': 0,
      'posthaste_deferrals_total{relay="second",category="rate-limited"}': 0,
      'posthaste_outcomes_total{relay="second",kind="inDoubt"}': 0,
      'posthaste_end_to_end_seconds_count{relay="second"}': 0,
    });
    recorder.close();
  });

  test('a relay that a reload has added begins at 0, too', async () => {
    const third = { ...sample, relays: sample.relays.map((one) => ({ ...one, relay: 'third' })) };
    const { recorder } = setUp({ sample: () => Promise.resolve(third) });
    assertSamples(await scrape(recorder), {
      'posthaste_relay_up{relay="third"}': 1,
      'posthaste_relay_failures_total{relay="third",category="relay-auth"}': 0,
    });
    recorder.close();
  });

  test('a lane counts as other until it is configured', async () => {
    const configured = new Set<string>();
    const { fanout, recorder } = setUp({ isLane: (lane) => configured.has(lane) });
    fanout.publish(settledBatch('spring', 'primary', 100));
    configured.add('gmail');
    fanout.publish(settledBatch('spring', 'primary', 10));
    assertSamples(await scrape(recorder), {
      'posthaste_lane_outcomes_total{lane="other",kind="accepted"}': 80,
      'posthaste_lane_outcomes_total{lane="gmail",kind="accepted"}': 8,
      'posthaste_lane_rejections_total{lane="other",category="no-such-recipient"}': 10,
    });
    recorder.close();
  });

  test('who was due for hours is told apart from who was due for a minute', async () => {
    const { fanout, recorder } = setUp();
    fanout.publish({ ...settledBatch('spring', 'primary', 100), ageSeconds: 45 });
    fanout.publish({ ...settledBatch('spring', 'primary', 10), ageSeconds: 10_000 });
    assertSamples(await scrape(recorder), {
      'posthaste_end_to_end_seconds_bucket{relay="primary",le="15"}': 0,
      'posthaste_end_to_end_seconds_bucket{relay="primary",le="60"}': 80,
      'posthaste_end_to_end_seconds_bucket{relay="primary",le="3600"}': 80,
      'posthaste_end_to_end_seconds_bucket{relay="primary",le="14400"}': 88,
      'posthaste_end_to_end_seconds_sum{relay="primary"}': 83_600,
    });
    recorder.close();
  });

  test('buckets of another shape are a bug', () => {
    const { fanout, recorder } = setUp();
    assert.throws(
      () =>
        fanout.publish({
          ...settledBatch('one', 'primary', 10),
          composeTimes: { counts: [1], sumSeconds: 1 },
        }),
      /bug: posthaste_compose_seconds got 1 bucket counts/,
    );
    recorder.close();
  });

  test('a campaign that starts again after a pause counts once, and a relay that recovers is up', async () => {
    const { fanout, recorder } = setUp();
    fanout.publish({ kind: 'campaignStarted', campaign: 'spring' });
    fanout.publish({ kind: 'campaignStarted', campaign: 'spring' });
    fanout.publish({ kind: 'relayFailed', relay: 'primary', verdict: relayDown });
    fanout.publish({ kind: 'relayRecovered', relay: 'primary', verdict: relayDown });
    assertSamples(await scrape(recorder), {
      posthaste_campaigns_running: 1,
      'posthaste_relay_up{relay="primary"}': 1,
    });
    recorder.close();
  });

  test('more recipients and more campaigns add no series', async () => {
    const { fanout, recorder } = setUp();
    for (const event of oneOfEach) fanout.publish(event);
    const before = await scrape(recorder);
    for (let index = 0; index < 200; index += 1) {
      fanout.publish({ kind: 'campaignStarted', campaign: `campaign ${index}` });
      fanout.publish({
        kind: 'intakeProgressed',
        campaign: `campaign ${index}`,
        rows: 1000,
        invalid: 1,
        duplicate: 1,
      });
      fanout.publish(settledBatch(`campaign ${index}`, 'primary', 1000));
    }
    const after = await scrape(recorder);
    assert.deepEqual(ownSeries(after), ownSeries(before));
    recorder.close();
  });

  test('a closed recorder hears nothing more', async () => {
    const { fanout, recorder } = setUp();
    recorder.close();
    fanout.publish({ kind: 'campaignStarted', campaign: 'spring' });
    assertSamples(await scrape(recorder), { posthaste_campaigns_running: 0 });
  });
});

describe('samples', () => {
  test('the present state is told in base units, and totals are not added to themselves', async () => {
    const { recorder } = setUp();
    await recorder.render();
    assertSamples(await scrape(recorder), {
      posthaste_pending_recipients: 395,
      posthaste_pending_batches: 2,
      posthaste_oldest_due_timestamp_seconds: 1_700_000_000.5,
      posthaste_worker_threads: 2,
      posthaste_worker_active_seconds_total: 1.5,
      'posthaste_sessions{relay="primary",state="connecting"}': 1,
      'posthaste_sessions{relay="primary",state="open"}': 5,
      'posthaste_sessions{relay="primary",state="busy"}': 3,
      'posthaste_permit_wait_seconds_total{relay="primary"}': 0.25,
      'posthaste_transactions_in_flight{relay="primary"}': 6,
      'posthaste_transaction_window{relay="primary"}': 10,
      'posthaste_limit_hold_seconds{limit="relay primary"}': 2.5,
      'posthaste_limit_grants_total{limit="relay primary"}': 400,
      'posthaste_mx_look_ups_total{result="operator"}': 12,
      'posthaste_limit_waits_total{limit="relay primary"}': 3,
      'posthaste_commit_seconds_count{store="ledger"}': 3,
      'posthaste_commit_seconds_count{store="journal"}': 8,
      'posthaste_state_bytes{store="journal"}': 1024,
      'posthaste_loop_lag_seconds{thread="main"}': 0.003,
      'posthaste_loop_lag_seconds{thread="1"}': 0.001,
    });
    recorder.close();
  });

  test('a single run has no event log, and none that cannot be written', async () => {
    const { recorder } = setUp();
    assert.equal((await scrape(recorder)).has('posthaste_event_log_sound'), false);
    recorder.close();
  });

  test('while nothing is pending there is no oldest due time', async () => {
    const { recorder } = setUp({ sample: () => Promise.resolve({ ...sample, oldestDueAt: undefined }) });
    assert.equal((await scrape(recorder)).has('posthaste_oldest_due_timestamp_seconds'), false);
    recorder.close();
  });

  test('a sample that fails costs the sampled metrics only, and is reported and counted', async () => {
    let broken = false;
    const { recorder, errors } = setUp({
      sample: () => (broken ? Promise.reject(new Error('disk')) : Promise.resolve(sample)),
      service: () => ({ campaigns: { running: 1, failed: 0 }, eventsLost: 7, isEventLogSound: false }),
    });
    await recorder.render();
    broken = true;
    const found = await scrape(recorder);
    for (const name of found.keys())
      assert.doesNotMatch(
        name,
        /pending|oldest|sessions|in_flight|window|hold|permit_wait_seconds_total|worker/,
      );
    assertSamples(found, {
      posthaste_sample_failures_total: 1,
      posthaste_campaigns_running: 0,
      // A total that fell to 0 here and rose again would be 7 more events lost.
      posthaste_events_lost_total: 7,
      posthaste_event_log_sound: 0,
      'posthaste_campaigns{state="running"}': 1,
    });
    assert.match(String(errors[0]), /disk/);
    recorder.close();
  });

  test('a sample that never comes is not waited for, and not asked for a second time', async () => {
    let asked = 0;
    const { recorder, errors } = setUp({
      sampleTimeoutMs: 20,
      sample: () => {
        asked += 1;
        return new Promise(() => undefined);
      },
    });
    const found = await scrape(recorder);
    await recorder.render();
    assert.equal(asked, 1);
    assert.equal(found.has('posthaste_pending_recipients'), false);
    assert.match(String(errors[0]), /no answer within 20 ms/);
    recorder.close();
  });
});

describe('the table', () => {
  test('every metric of the table is in a scrape with its type and help, and no other of ours is', async () => {
    const { fanout, recorder } = setUp();
    for (const event of oneOfEach) fanout.publish(event);
    const lines = (await recorder.render()).split('\n');
    const types = lines.filter((line) => line.startsWith('# TYPE posthaste_'));
    const helps = lines.filter((line) => line.startsWith('# HELP posthaste_'));
    const all = Object.entries(definitions);
    assert.deepEqual(new Set(types), new Set(all.map(([name, { type }]) => `# TYPE ${name} ${type}`)));
    assert.deepEqual(new Set(helps), new Set(all.map(([name, { help }]) => `# HELP ${name} ${help}`)));
    assert.equal(types.length, all.length);
    recorder.close();
  });

  test('its Markdown has a row of five cells for each metric', () => {
    const rows = metricsTable().trimEnd().split('\n');
    assert.equal(rows.length, 2 + Object.keys(definitions).length);
    for (const row of rows) assert.equal(row.split('|').length, 7, row);
  });
});

const promtoolMissing = spawnSync('promtool', ['--version']).error !== undefined;
const skip = promtoolMissing && process.env['CI'] === undefined ? 'promtool is not installed' : false;

test('promtool finds no fault with a scrape', { skip }, async () => {
  const { fanout, recorder } = setUp({ relays: ['primary', 'se"cond\\'] });
  for (const event of oneOfEach) fanout.publish(event);
  await recorder.render();
  const input = await recorder.render();
  const checked = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
  assert.equal(`${checked.stdout}${checked.stderr}`, '');
  assert.equal(checked.status, 0);
  recorder.close();
});

/** The series that so many campaigns make. */
async function namesOf(campaigns: number): Promise<string[]> {
  const { fanout, recorder } = setUp();
  for (let number = 0; number < campaigns; number += 1) {
    fanout.publish({ kind: 'campaignStarted', campaign: `campaign ${number}` });
    fanout.publish({
      ...settledBatch(`campaign ${number}`, 'primary', 100),
      lane: `domain${number}.example`,
    });
  }
  return [...parseScrape(await recorder.render()).keys()]
    .filter((name) => name.startsWith('posthaste_'))
    .sort();
}

test('ten times the recipients, domains and campaigns add no series', async () => {
  assert.deepEqual(await namesOf(100), await namesOf(10));
});
