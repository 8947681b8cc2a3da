// Measures the daemon: how soon it tells the status of many campaigns, what being scraped costs, and what many campaigns and lanes cost.
// Run: node bench/service.ts [--short] [--only status|scrapes|many|held]
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import * as answers from '../src/control/answers.ts';
import { ControlClient } from '../src/control/client.ts';
import { openLedger } from '../src/ledger/open_ledger.ts';
import { packRecipients } from '../src/mail/batch.ts';
import { endWithUs, makeFolder } from './cleanup.ts';
import { describeLoad, describeMachine, printLine, show, showRounds, showSamples } from './report.ts';
import { readPeakBytes } from './usage.ts';
import { startSandboxProcess } from './sandbox_process.ts';

const { values } = parseArgs({
  options: { short: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const size = values.short
  ? {
      finished: 100,
      atOnce: 10,
      asked: 10,
      rows: 4000,
      rounds: 1,
      many: 20,
      lanes: 100,
      manyRows: 10_000,
      manyRounds: 1,
      heldRows: 5000,
    }
  : {
      finished: 1000,
      atOnce: 50,
      asked: 100,
      rows: 60_000,
      rounds: 5,
      many: 1000,
      lanes: 10_000,
      manyRows: 1_000_000,
      manyRounds: 2,
      heldRows: 200_000,
    };
const main = join(import.meta.dirname, '../src/main.ts');
const campaignText = (name: string): string =>
  `name: ${name}\nfrom: hello@mail.example.com\nsubject: "Hi {{ n }}"\ntext: "Dear {{ n }}, a letter of some length for you, and for nobody else.\\n"\n`;

interface Serving {
  readonly client: ControlClient;
  readonly metricsUrl: string;
  readonly pid: number;
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
    pid: child.pid ?? 0,
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
  await untilFinished(client, names.at(-1) ?? '');
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

/** Asks for one only: the list of a thousand is work enough to be felt by those that are sent meanwhile. */
async function untilFinished(client: ControlClient, name: string): Promise<void> {
  for (;;) {
    const answer = await client.call({ method: 'GET', path: `/v1/campaigns/${name}` });
    if (['finished', 'failed'].includes(answers.campaign.parse(answer).state)) return;
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
  const rows = size.manyRows;
  const { many, lanes } = size;
  const each = rows / many;
  const cases: readonly ManyCase[] = [
    { title: 'one campaign, one lane', campaigns: 1, laneOf: () => 0 },
    { title: `${show(many)} campaigns, one lane`, campaigns: many, laneOf: () => 0 },
    { title: `one campaign, ${show(lanes)} lanes`, campaigns: 1, laneOf: (row) => row % lanes },
    {
      title: `${show(many)} campaigns, ${show(lanes)} lanes`,
      campaigns: many,
      laneOf: (row) => (Math.floor(row / each) * (lanes / many) + (row % (lanes / many))) % lanes,
    },
    {
      title: `the same, all batches of one recipient`,
      campaigns: many,
      laneOf: (row) => (Math.floor(row / each) + row) % lanes,
      rows: size.rows,
    },
  ];
  const rates = new Map<string, number[]>(cases.map(({ title }) => [title, []]));
  for (let round = 0; round < size.manyRounds; round += 1)
    for (const one of cases)
      rates.get(one.title)?.push(await manyCampaigns(join(folder, `${round}-${one.title}`), one, rows));
  const [base = []] = rates.values();
  for (const [title, found] of rates) {
    const losses = found.map((rate, round) => (1 - rate / (base[round] ?? Number.NaN)) * 100);
    printLine(`${title}, messages/s`, `${showSamples(found)}; less by %: ${showSamples(losses, 1)}`);
  }
}

interface ManyCase {
  readonly title: string;
  readonly campaigns: number;
  /** Rows from 0 on, over all campaigns. */
  readonly laneOf: (row: number) => number;
  /** Where they are fewer than in the other cases. */
  readonly rows?: number;
}

/** Messages a second, from the relay's release to the last recipient's outcome. */
async function manyCampaigns(state: string, one: ManyCase, usualRows: number): Promise<number> {
  const { campaigns, laneOf, rows = usualRows } = one;
  const each = rows / campaigns;
  const serving = await startServing(state, 'maxConnections: 10', 'lanes: { others: domain }\n');
  const names = Array.from({ length: campaigns }, (_, index) => `c${index}`);
  // All of them are there before any is sent: what is measured is the sending.
  await serving.client.call({ method: 'PATCH', path: '/v1/relays/primary', json: { paused: true } });
  for (const [index, name] of names.entries())
    await serving.submit(
      name,
      makeList(each, (row) => `d${laneOf(row - 1)}.example`, index * each + 1),
    );
  await untilTakenIn(serving.client, rows);
  const begunAt = Date.now();
  await serving.client.call({ method: 'PATCH', path: '/v1/relays/primary', json: { paused: false } });
  const total = await serving.finish(names);
  await serving.stop();
  await serving.taken(total);
  return total / ((readAccepted(state, 'true').lastAt - begunAt) / 1000);
}

/** How many were accepted, and when the thread that was last read its reply: how soon it is asked afterwards is no part of that. */
function readAccepted(state: string, which: string): { readonly count: number; readonly lastAt: number } {
  const database = new DatabaseSync(join(state, 'ledger.db'), { readOnly: true });
  const { count, at } =
    database
      .prepare(
        `SELECT count(*) AS count, max(finished_at) AS at FROM delivery WHERE fate = 'accepted' AND ${which}`,
      )
      .get() ?? {};
  database.close();
  if (typeof at !== 'number' || typeof count !== 'number') throw new Error('nothing was accepted');
  return { count, lastAt: at };
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

/** A free lane alone, and beside one that is held at 10/s: how fast the free one is, and what memory the daemon takes. */
async function measureHeld(folder: string): Promise<void> {
  const losses: number[] = [];
  const growths: number[] = [];
  for (let round = 0; round < size.rounds; round += 1) {
    const measure = (heldShare: 0 | 1): Promise<Beside> =>
      flowBeside(join(folder, `held-${round}-${heldShare}`), size.heldRows, heldShare);
    const isFirst = round % 2 === 0;
    const [one, other] = [await measure(isFirst ? 0 : 1), await measure(isFirst ? 1 : 0)];
    const [alone, beside] = isFirst ? [one, other] : [other, one];
    losses.push((1 - beside.perSecond / alone.perSecond) * 100);
    growths.push(beside.peakMib - alone.peakMib);
  }
  printLine('a lane at 10/s beside a free one, less by %', showSamples(losses, 1));
  printLine('  and more memory, MiB', showSamples(growths, 1));
}

interface Beside {
  /** Messages of the free lane. */
  readonly perSecond: number;
  readonly peakMib: number;
}

/** As many rows of a held lane as of the free one times `heldShare`, one after the other in the list; those left are cancelled. */
async function flowBeside(state: string, freeRows: number, heldShare: 0 | 1): Promise<Beside> {
  const serving = await startServing(
    state,
    'maxConnections: 10',
    'lanes: { groups: { gmail: { rate: 10/s } } }\n',
  );
  const step = 1 + heldShare;
  const rows = freeRows * step;
  await serving.client.call({ method: 'PATCH', path: '/v1/relays/primary', json: { paused: true } });
  await serving.submit(
    'c',
    makeList(rows, (row) => (row % step === 0 ? 'free.example' : 'gmail.com')),
  );
  await untilTakenIn(serving.client, rows);
  const begunAt = Date.now();
  await serving.client.call({ method: 'PATCH', path: '/v1/relays/primary', json: { paused: false } });
  await untilFreeAreAccepted(serving.metricsUrl, freeRows);
  if (rows > freeRows)
    await serving.client.call({ method: 'PATCH', path: '/v1/campaigns/c', json: { cancelled: true } });
  await serving.finish(['c']);
  const peakMib = readPeakBytes(serving.pid) / 1_048_576;
  await serving.stop();
  const free = readAccepted(state, `key % ${step} = 0`);
  if (free.count !== freeRows) throw new Error(`${free.count} of ${freeRows} of the free lane were accepted`);
  await serving.taken(readAccepted(state, 'true').count);
  return { perSecond: free.count / ((free.lastAt - begunAt) / 1000), peakMib };
}

async function untilFreeAreAccepted(metricsUrl: string, rows: number): Promise<void> {
  for (;;) {
    const text = await (await fetch(`${metricsUrl}/metrics`)).text();
    const series = [...text.matchAll(/^posthaste_lane_outcomes_total\{(.*)\} (\d+)$/gm)];
    const free = series.filter(
      ([, labels = '']) => labels.includes('"accepted"') && !labels.includes('"gmail"'),
    );
    if (free.reduce((sum, [, , count]) => sum + Number(count), 0) >= rows) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

process.stdout.write(`${describeMachine()}, ${describeLoad()}, ${showRounds(size.rounds)}\n`);
const folder = makeFolder();
const measurements = { status: measureStatus, scrapes: measureScrapes, many: measureMany, held: measureHeld };
for (const [name, measure] of Object.entries(measurements))
  if (values.only === undefined || values.only === name) await measure(folder);
process.stdout.write(`${describeLoad()} at the end\n`);
