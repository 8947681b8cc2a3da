// Measures the daemon: how soon it tells the status of many campaigns, what being scraped costs, and what many campaigns and lanes cost.
// Run: node bench/service.ts [--short] [--only status|scrapes|many]
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import * as answers from '../src/control/answers.ts';
import { ControlClient } from '../src/control/client.ts';
import { openLedger } from '../src/ledger/open_ledger.ts';
import { packRecipients } from '../src/mail/batch.ts';
import { endWithUs, makeFolder } from './cleanup.ts';
import { describeLoad, describeMachine, printLine, show, showRounds, showSamples } from './report.ts';
import { startSandboxProcess } from './sandbox_process.ts';

const { values } = parseArgs({
  options: { short: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const size = values.short
  ? { finished: 100, atOnce: 10, asked: 10, rows: 4000, rounds: 1, many: 20, lanes: 50 }
  : { finished: 1000, atOnce: 50, asked: 100, rows: 60_000, rounds: 5, many: 1000, lanes: 10_000 };
const main = join(import.meta.dirname, '../src/main.ts');
const campaignText = (name: string): string =>
  `name: ${name}\nfrom: hello@mail.example.com\nsubject: "Hi {{ n }}"\ntext: "Dear {{ n }}, a letter of some length for you, and for nobody else.\\n"\n`;

interface Serving {
  readonly client: ControlClient;
  readonly metricsUrl: string;
  submit(name: string, list: string): Promise<void>;
  /** Waits until these are finished; returns how many rows they have. */
  finish(names: readonly string[]): Promise<number>;
  stop(): Promise<void>;
}

/** Starts a daemon with a sandbox of its own. `more` are lines of the configuration. */
async function startServing(
  state: string,
  relay: string,
  more = '',
): Promise<Serving & { taken: (rows: number) => Promise<void> }> {
  mkdirSync(state, { recursive: true });
  const sandbox = await startSandboxProcess(state, 'none');
  const config = join(state, 'posthaste.yaml');
  writeFileSync(
    config,
    `state: .\nmetrics: { listen: 0 }\nlog: { level: info }\nrelays:\n  primary: { host: ${sandbox.host}, port: ${sandbox.port}, tls: none, maxMessages: 100000, ${relay} }\n${more}`,
  );
  const child = spawn(process.execPath, [main, 'serve', '--config', config], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  endWithUs(child, 'SIGKILL');
  const metricsUrl = await waitUntilReady(child);
  const client = new ControlClient({ kind: 'socket', path: join(state, 'control.sock') });
  return {
    client,
    metricsUrl,
    submit: (name, list) => submit(client, name, list),
    finish: (names) => finish(client, names),
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const [code] = await ended;
      if (code !== 0) throw new Error(`the daemon ended with ${code}`);
    },
    taken: (rows) => sandbox.stop(rows),
  };
}

/** Resolves to where its metrics are, once it takes campaigns. */
async function waitUntilReady(child: ChildProcess): Promise<string> {
  if (child.stderr === null) throw new Error('a child without stderr');
  let url: string | undefined;
  for await (const line of createInterface({ input: child.stderr })) {
    url ??= /metrics on (http:\S+)\/metrics/.exec(line)?.[1];
    if (/"msg":"ready"/.test(line)) break;
  }
  child.stderr.resume();
  if (url === undefined) throw new Error('the daemon did not say where its metrics are');
  return url;
}

async function submit(client: ControlClient, name: string, list: string): Promise<void> {
  const { submission } = answers.begun.parse(await client.call({ method: 'POST', path: '/v1/submissions' }));
  const at = `/v1/submissions/${submission}`;
  const file = new Blob([campaignText(name)]).stream();
  await client.call({ method: 'PUT', path: `${at}/files/campaign.yaml`, body: file });
  await client.call({ method: 'PUT', path: `${at}/list/list.csv`, body: new Blob([list]).stream() });
  await client.call({ method: 'POST', path: `${at}/commit`, json: {} });
}

async function finish(client: ControlClient, names: readonly string[]): Promise<number> {
  const wanted = new Set(names);
  for (;;) {
    const { campaigns } = answers.campaigns.parse(
      await client.call({ method: 'GET', path: '/v1/campaigns' }),
    );
    const ours = campaigns.filter(({ name }) => wanted.has(name));
    const failed = ours.find(({ state }) => state === 'failed');
    if (failed !== undefined) throw new Error(`${failed.name}: ${failed.reason}`);
    if (ours.length === wanted.size && ours.every(({ state }) => state === 'finished'))
      return ours.reduce((sum, { rows }) => sum + rows, 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function makeList(rows: number, domainOf: (row: number) => string = () => 'example.com', from = 1): string {
  const lines = ['email,n'];
  for (let row = from; row < from + rows; row += 1) lines.push(`r${row}@${domainOf(row)},N${row}`);
  return `${lines.join('\n')}\n`;
}

/** Finished campaigns, as earlier days left them. */
async function fillLedger(directory: string): Promise<void> {
  const ledger = await openLedger({ directory });
  const payload = packRecipients([{ row: 1, line: 2, address: 'a@example.com', cells: ['a@example.com'] }]);
  for (let number = 1; number <= size.finished; number += 1) {
    const { id } = await ledger.createCampaign({ name: `old-${number}`, planDigest: 'x', createdAt: 0 });
    const batch = { recipientCount: 1, firstRow: 1, lastRow: 1, lane: '', zone: '', payload };
    await ledger.storeIntake(id, { batches: [batch], refused: [], rows: 1, columns: ['email'] }, 0);
    await ledger.completeIntake(id, { rows: 1, listDigest: 'x', columns: ['email'] });
    const [claimed] = await ledger.claimDue(id, 1, 1);
    if (claimed === undefined) throw new Error('no batch');
    const delivery = {
      row: 1,
      relay: 'r',
      replyCode: 250,
      enhancedStatus: '',
      reply: '250 ok',
      classification: '',
    };
    const deliveries = [{ ...delivery, fate: 'accepted' as const, finishedAt: 1, attempts: 1 }];
    await ledger.settle([{ campaignId: id, batchId: claimed.id, deliveries, deferrals: [], successors: [] }]);
    await ledger.finishCampaign(id, 1);
  }
  await ledger.close();
}

async function measureStatus(folder: string): Promise<void> {
  const state = join(folder, 'status');
  mkdirSync(state);
  await fillLedger(state);
  const serving = await startServing(state, 'maxConnections: 10, rate: 500/s');
  const names = Array.from({ length: size.atOnce }, (_, index) => `now-${index}`);
  for (const name of names) await serving.submit(name, makeList(values.short ? 20 : 400));
  const times: number[] = [];
  for (let turn = 0; turn < size.asked; turn += 1) {
    const begunAt = performance.now();
    const { campaigns } = answers.campaigns.parse(
      await serving.client.call({ method: 'GET', path: '/v1/campaigns' }),
    );
    times.push(performance.now() - begunAt);
    if (campaigns.length !== size.finished + size.atOnce)
      throw new Error(`${campaigns.length} campaigns were told`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const rows = await serving.finish(names);
  await serving.stop();
  await serving.taken(rows);
  const slow = times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.95)] ?? 0;
  printLine(
    'status, ms',
    `${showSamples(times)}, 95th percentile ${show(slow)} (${show(size.finished)} finished, ${size.atOnce} at once)`,
  );
}

/** Messages a second of one campaign; with `scraping`, a scrape every second. */
async function flow(folder: string, scraping: boolean): Promise<number> {
  const serving = await startServing(join(folder, `flow-${performance.now()}`), 'maxConnections: 10');
  const scrape = async (): Promise<void> => {
    const text = await (await fetch(`${serving.metricsUrl}/metrics`)).text();
    if (!text.includes('posthaste_outcomes_total')) throw new Error('a scrape without outcomes');
  };
  const timer = scraping ? setInterval(() => void scrape(), 1000) : undefined;
  const begunAt = performance.now();
  await serving.submit('flow', makeList(size.rows));
  const rows = await serving.finish(['flow']);
  const seconds = (performance.now() - begunAt) / 1000;
  clearInterval(timer);
  await serving.stop();
  await serving.taken(rows);
  return rows / seconds;
}

async function measureScrapes(folder: string): Promise<void> {
  const ratios: number[] = [];
  for (let round = 0; round < size.rounds; round += 1) {
    // Which comes first changes, for the machine may be warmer afterwards.
    const [one, other] = [await flow(folder, round % 2 === 0), await flow(folder, round % 2 === 1)];
    const [scraped, alone] = round % 2 === 0 ? [one, other] : [other, one];
    ratios.push((1 - scraped / alone) * 100);
  }
  printLine('a scrape every second costs, %', showSamples(ratios, 1));
  printLine(
    'a scrape, CPU ms',
    `${showSamples(await measureScrapeCpu(join(folder, 'cpu')), 2)}: so many tenths of a % of a core, each second`,
  );
}

/** What a scrape takes of the processor, all threads together, by the daemon's own account: no noise of the flow is in it. */
async function measureScrapeCpu(state: string): Promise<number[]> {
  const serving = await startServing(
    state,
    'maxConnections: 10',
    'lanes: { groups: { gmail: { rate: 1000/s } } }\n',
  );
  await serving.submit('few', makeList(1000));
  const rows = await serving.finish(['few']);
  const cpuSeconds = async (): Promise<number> => {
    const text = await (await fetch(`${serving.metricsUrl}/metrics`)).text();
    return Number(/^process_cpu_seconds_total (\S+)/m.exec(text)?.[1]);
  };
  const samples: number[] = [];
  for (let round = 0; round < (values.short ? 1 : 5); round += 1) {
    const before = await cpuSeconds();
    for (let scrape = 1; scrape < scrapesAtOnce; scrape += 1) await cpuSeconds();
    samples.push((((await cpuSeconds()) - before) / scrapesAtOnce) * 1000);
  }
  await serving.stop();
  await serving.taken(rows);
  return samples;
}

const scrapesAtOnce = 200;

/** The same rows as one campaign in one lane, and as many campaigns in many. */
async function measureMany(folder: string): Promise<void> {
  const each = Math.floor(size.rows / size.many);
  const one = await manyCampaigns(join(folder, 'one'), 1, each * size.many, 1, '');
  const campaigns = await manyCampaigns(join(folder, 'campaigns'), size.many, each, 1, '');
  const lanes = 'lanes: { others: domain }\n';
  const both = await manyCampaigns(join(folder, 'lanes'), size.many, each, size.lanes, lanes);
  printLine('one campaign, messages/s', show(one));
  printLine(
    `${show(size.many)} campaigns, messages/s`,
    `${show(campaigns)} (${show((1 - campaigns / one) * 100)} % less)`,
  );
  printLine(
    `  and ${show(size.lanes)} lanes`,
    `${show(both)} (${show((1 - both / one) * 100)} % less; about ${show((size.many * each) / Math.min(size.many * each, size.lanes * size.many), 1)} recipients in a batch)`,
  );
}

async function manyCampaigns(
  state: string,
  count: number,
  rows: number,
  lanes: number,
  more: string,
): Promise<number> {
  const serving = await startServing(state, 'maxConnections: 10', more);
  const names = Array.from({ length: count }, (_, index) => `c${index}`);
  // All of them are there before any is sent: what is measured is the sending.
  await serving.client.call({ method: 'PATCH', path: '/v1/relays/primary', json: { paused: true } });
  for (const [index, name] of names.entries())
    await serving.submit(
      name,
      makeList(rows, (row) => `d${row % lanes}.example`, index * rows + 1),
    );
  await untilTakenIn(serving.client, count * rows);
  const begunAt = performance.now();
  await serving.client.call({ method: 'PATCH', path: '/v1/relays/primary', json: { paused: false } });
  const total = await serving.finish(names);
  const seconds = (performance.now() - begunAt) / 1000;
  await serving.stop();
  await serving.taken(total);
  return total / seconds;
}

async function untilTakenIn(client: ControlClient, rows: number): Promise<void> {
  for (;;) {
    const { campaigns } = answers.campaigns.parse(
      await client.call({ method: 'GET', path: '/v1/campaigns' }),
    );
    const pending = campaigns.reduce((sum, one) => sum + one.pending, 0);
    if (pending === rows) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

process.stdout.write(`${describeMachine()}, ${describeLoad()}, ${showRounds(size.rounds)}\n`);
const folder = makeFolder();
const measurements = { status: measureStatus, scrapes: measureScrapes, many: measureMany };
for (const [name, measure] of Object.entries(measurements))
  if (values.only === undefined || values.only === name) await measure(folder);
process.stdout.write(`${describeLoad()} at the end\n`);
