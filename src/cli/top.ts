// posthaste top: the campaigns of the daemon, redrawn as they go on.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import * as answers from '../control/answers.ts';
import type { ControlClient } from '../control/client.ts';
import type { SetExitCode } from './command_line.ts';
import { addDaemonOptions, openClient, type DaemonOptions } from './daemon_client.ts';
import { count } from './print.ts';
import { tableOfDaemon } from './status.ts';

const redrawEveryMs = 1000;
const clearBelow = '\u001b[J';
const home = '\u001b[H';
/** Of a terminal that does not tell its size. */
const [unknownColumns, unknownRows] = [80, 24];

export function addTop(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('top')
    .description(
      'show the campaigns of the daemon as they go on, the busiest first; once, where this is no terminal',
    );
  addDaemonOptions(command).action(async (options: DaemonOptions) => setExitCode(await top(options)));
}

async function top(options: DaemonOptions): Promise<ExitCode> {
  const client = openClient(options);
  if (!process.stdout.isTTY || options.json === true) {
    const campaigns = await ask(client);
    process.stdout.write(
      options.json === true ? `${JSON.stringify({ type: 'status', campaigns })}\n` : draw(campaigns),
    );
    return ExitCode.ok;
  }
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort());
  process.stdout.write(`${home}${clearBelow}`);
  while (!stop.signal.aborted) {
    const lines = fit(draw(await ask(client)));
    process.stdout.write(`${home}${lines}${clearBelow}`);
    await sleep(redrawEveryMs, undefined, { signal: stop.signal }).catch(() => {});
  }
  process.stdout.write('\n');
  return ExitCode.ok;
}

async function ask(client: ControlClient): Promise<answers.CampaignView[]> {
  const { campaigns } = answers.campaigns.parse(await client.call({ method: 'GET', path: '/v1/campaigns' }));
  return campaigns.sort((a, b) => Number(isLive(b)) - Number(isLive(a)) || b.perSecond - a.perSecond);
}

function isLive({ state }: answers.CampaignView): boolean {
  return state !== 'finished' && state !== 'stopped';
}

function draw(campaigns: readonly answers.CampaignView[]): string {
  const total = campaigns.reduce((sum, { perSecond }) => sum + perSecond, 0);
  const pending = campaigns.reduce((sum, one) => sum + one.pending, 0);
  const head = `${count(campaigns.length)} campaigns, ${count(pending)} recipients pending, ${count(total)}/s\n`;
  return campaigns.length === 0 ? head : `${head}\n${tableOfDaemon(campaigns)}`;
}

/** No line is wider than the terminal, and none is scrolled away. */
function fit(text: string): string {
  const columns = process.stdout.columns || unknownColumns;
  const rows = process.stdout.rows || unknownRows;
  return text
    .trimEnd()
    .split('\n')
    .slice(0, Math.max(rows - 1, 1))
    .map((line) => `${line.slice(0, columns)}\u001b[K\n`)
    .join('');
}
