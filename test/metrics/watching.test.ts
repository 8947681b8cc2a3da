// What watches a daemon: rules, alerts and dashboard say what is so, and a real Prometheus finds an answer to each query.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';
import { parse } from 'yaml';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { definitions } from '../../src/metrics/definitions.ts';
import { campaignYaml } from '../cli/posthaste.ts';
import { skipUnlessInstalled } from '../peers/required.ts';
import { openServing } from '../serve/serving.ts';

const config = resolve(import.meta.dirname, '../../config');
const docs = resolve(import.meta.dirname, '../../docs');
const skipTool = skipUnlessInstalled('promtool');
const skipServer = skipUnlessInstalled('prometheus');

interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
}

function rulesIn(name: string): Rule[] {
  const file: { groups: { rules: Rule[] }[] } = parse(readFileSync(join(config, 'prometheus', name), 'utf8'));
  return file.groups.flatMap(({ rules }) => rules);
}

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly datasource?: { readonly uid: string } }[];
}

function panels(): Panel[] {
  const dashboard: { panels: Panel[] } = JSON.parse(
    readFileSync(join(config, 'grafana/dashboard.json'), 'utf8'),
  );
  return dashboard.panels.filter(({ type }) => type !== 'row');
}

/** Metrics of ours that a query names; what a histogram adds to its name is taken off. */
function metricsIn(query: string): string[] {
  return [...query.matchAll(/\bposthaste_\w+/g)].map(([name]) => name.replace(/_(?:bucket|sum|count)$/, ''));
}

const queries = [
  ...panels().flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...rulesIn('alert_rules.yml').map(({ expr }) => expr),
  ...rulesIn('recording_rules.yml').map(({ expr }) => expr),
];

test('every metric that dashboard and rules name is there, and every metric is on the dashboard', () => {
  const known = new Set(Object.keys(definitions));
  const named = new Set(queries.flatMap((query) => metricsIn(query)));
  assert.deepEqual(
    [...named].filter((name) => !known.has(name)),
    [],
  );
  assert.deepEqual(
    [...known].filter((name) => !named.has(name)),
    [],
  );
  const recorded = new Set(rulesIn('recording_rules.yml').map(({ record }) => record));
  for (const query of queries)
    for (const [name] of query.matchAll(/\bposthaste:\w+:\w+/g)) assert.ok(recorded.has(name), name);
});

test('every alert has its section in the runbook, and no section is without an alert', () => {
  const alerts = rulesIn('alert_rules.yml').map(({ alert }) => alert);
  const sections = [...readFileSync(join(docs, 'runbook.md'), 'utf8').matchAll(/^## (\w+)$/gm)].map(
    ([, name]) => name,
  );
  assert.deepEqual(sections, alerts);
});

test('promtool takes the rules, and every alert fires once and is silent once', { skip: skipTool }, () => {
  for (const args of [
    ['check', 'config', 'prometheus.yml'],
    ['test', 'rules', 'alert_rules_test.yml'],
  ]) {
    const { status, stdout, stderr } = spawnSync('promtool', args, {
      cwd: join(config, 'prometheus'),
      encoding: 'utf8',
    });
    assert.equal(status, 0, `${stdout}${stderr}`);
  }
  const tested = readFileSync(join(config, 'prometheus/alert_rules_test.yml'), 'utf8');
  for (const { alert = '' } of rulesIn('alert_rules.yml'))
    for (const what of ['fires', 'is silent']) assert.ok(tested.includes(`name: ${alert} ${what}`), alert);
});

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

/** Scrapes every second, and evaluates the recording rules as often. Returns its address. */
async function startPrometheus(context: TestContext, folder: string, target: string): Promise<string> {
  const port = await freePort();
  const rules = readFileSync(join(config, 'prometheus/recording_rules.yml'), 'utf8');
  writeFileSync(join(folder, 'recording_rules.yml'), rules);
  writeFileSync(
    join(folder, 'prometheus.yml'),
    `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [recording_rules.yml]
scrape_configs:
  - { job_name: posthaste, static_configs: [{ targets: ['${target}'] }] }
`,
  );
  const program = spawn(
    'prometheus',
    [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/tsdb`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  );
  const ended = once(program, 'exit');
  context.after(async () => {
    program.kill('SIGKILL');
    await ended;
  });
  return `http://127.0.0.1:${port}`;
}

/** How many numbers a query has for an answer, NaN not among them; a query that is wrong fails. */
async function countNumbers(prometheus: string, query: string): Promise<number> {
  const asked = await fetch(`${prometheus}/api/v1/query?query=${encodeURIComponent(query)}`).catch(
    () => undefined,
  );
  if (asked === undefined) return 0;
  const answer: { status: string; data?: { result: { value: [number, string] }[] }; error?: string } =
    JSON.parse(await asked.text());
  assert.equal(answer.status, 'success', `${query}: ${answer.error}`);
  return (answer.data?.result ?? []).filter(({ value: [, number] }) => number !== 'NaN').length;
}

/** A panel's query, as Grafana asks it for all daemons. */
function inGrafana(query: string): string {
  return query.replaceAll('$__rate_interval', '10s').replaceAll('$instance', '.*');
}

test('every query of the dashboard is of the chosen data source and daemons', () => {
  for (const { title, datasource, targets = [] } of panels()) {
    for (const one of [datasource, ...targets.map((target) => target.datasource)])
      assert.equal(one?.uid, '${datasource}', title);
    for (const { expr } of targets)
      assert.equal(
        [...expr.matchAll(/\b(?:posthaste[_:]|process_)/g)].length,
        [...expr.matchAll(/instance=~"\$instance"/g)].length,
        expr,
      );
  }
});

test('a campaign that waits for its time is not late, and one whose relay is paused is', async (context) => {
  const serving = await openServing(context, 20, { config: 'metrics: { listen: 0 }\n' });
  serving.folder.write('campaign.yaml', `${campaignYaml}startAt: 2999-01-01T00:00\n`);
  const daemon = await serving.start();
  const [, url = ''] = /metrics on (http:\/\/\S+\/metrics)/.exec(daemon.text()) ?? [];
  /** Waits for so many recipients; returns whether any of them is due. */
  const isDueOnceThereAre = async (recipients: number): Promise<boolean> => {
    for (let tries = 0; tries < 500; tries += 1) {
      const text = await (await fetch(url)).text();
      if (text.includes(`\nposthaste_pending_recipients ${recipients}\n`))
        return /^posthaste_oldest_due_timestamp_seconds \d/m.test(text);
      await new Promise((again) => setTimeout(again, 20));
    }
    return assert.fail(`there were never ${recipients} pending`);
  };
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  assert.equal(await isDueOnceThereAre(20), false);
  await serving.ok(['relays', '--pause', 'primary']);
  serving.folder.write('campaign.yaml', campaignYaml.replace('name: spring', 'name: summer'));
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  assert.equal(await isDueOnceThereAre(40), true);
  assert.equal((await serving.stop()).code, 0);
});

test(
  'a real Prometheus that scrapes a real daemon has an answer for every panel',
  { skip: skipServer },
  async (context) => {
    const serving = await openServing(context, 6000, {
      sandbox: {
        faults: ['rcpt 5%: 550 5.1.1 no such user', 'rcpt 5% first: 451 4.7.1 greylisted'].map((text) =>
          parseFault(text),
        ),
      },
      relay: 'maxConnections: 5, rate: 200/s',
      config:
        'metrics: { listen: 0 }\nlanes: { groups: { gmail: { domains: [example.com], rate: 1000/s } } }\n',
    });
    serving.folder.write('campaign.yaml', campaignYaml);
    const daemon = await serving.start();
    await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
    const [, url = ''] = /metrics on http:\/\/(\S+)\/metrics/.exec(daemon.text()) ?? [];
    const prometheus = await startPrometheus(context, serving.folder.path, url);
    const wanted = panels().flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }) => ({ title, query: inGrafana(expr) })),
    );
    const recorded = rulesIn('recording_rules.yml').map(({ record = '' }) => ({
      title: 'recorded',
      query: record,
    }));
    // Of alerts, what is not ours.
    const started = { title: 'restarts', query: 'process_start_time_seconds{job="posthaste"}' };
    let left = [...wanted, ...recorded, started];
    for (let tries = 0; left.length > 0 && tries < 100; tries += 1) {
      await new Promise((again) => setTimeout(again, 200));
      const counts = await Promise.all(left.map(({ query }) => countNumbers(prometheus, query)));
      left = left.filter((_, index) => counts[index] === 0);
    }
    assert.deepEqual(left, []);
    await serving.ok(['cancel', 'spring']);
    assert.equal((await serving.stop()).code, 0);
  },
);
