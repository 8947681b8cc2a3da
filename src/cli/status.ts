// posthaste status: all campaigns of a state directory in a table, or one of them.
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { formatDay, formatInstant } from '../base/instant.ts';
import { unreachable } from '../base/invariant.ts';
import { loadConfig } from '../config/load_config.ts';
import { readStatus, type CampaignStatus } from '../daemon/status.ts';
import { fates } from '../mail/outcome.ts';
import { findCampaign } from './named_campaign.ts';
import type { SetExitCode } from './command_line.ts';
import { count } from './print.ts';
import { configPlaces } from './send.ts';

interface StatusOptions {
  readonly config?: string;
  readonly state?: string;
  readonly json?: boolean;
}

export function addStatus(program: Command, setExitCode: SetExitCode): void {
  program
    .command('status')
    .description('show where campaigns stand: state, rows, fates, what is pending and since when')
    .argument('[campaign]', 'the name of a campaign, or its file; else all')
    .option('--config <file>', `the configuration file (else ${configPlaces.join(' or ')})`)
    .option('--state <dir>', 'where the ledger is kept')
    .option('--json', 'one object on stdout')
    .action(async (campaign: string | undefined, options: StatusOptions) =>
      setExitCode(await status(campaign, options)),
    );
}

async function status(campaign: string | undefined, options: StatusOptions): Promise<ExitCode> {
  const { config = configPlaces.find(existsSync), state, json } = options;
  const { stateDir } = loadConfig(config, process.env, { state });
  const name = campaign === undefined ? undefined : findCampaign(campaign).name;
  // Looking must not make a state directory where there is none.
  const nothing = name === undefined && !existsSync(stateDir);
  const campaigns = nothing ? [] : await readStatus(stateDir, name, Date.now());
  if (json === true) process.stdout.write(`${JSON.stringify(jsonOf(campaigns))}\n`);
  else
    process.stdout.write(
      campaigns.length === 0 ? `no campaign in ${stateDir} yet\n` : formatTable(campaigns),
    );
  return ExitCode.ok;
}

function jsonOf(campaigns: readonly CampaignStatus[]): Record<string, unknown> {
  return {
    type: 'status',
    campaigns: campaigns.map(({ tally, ...one }) => ({
      name: one.name,
      state: one.state,
      running: one.running,
      rows: one.rows,
      ...tally,
      pending: one.pending,
      nextDueAt: isoOf(one.nextDueAt),
      startedAt: isoOf(one.startedAt),
      finishedAt: isoOf(one.finishedAt),
      compactedAt: isoOf(one.compactedAt),
    })),
  };
}

function isoOf(at: number | undefined): string | null {
  return at === undefined ? null : new Date(at).toISOString();
}

/** A column for each fate that some campaign knows; texts to the left, numbers to the right. */
function formatTable(campaigns: readonly CampaignStatus[]): string {
  const met = fates.filter((fate) => campaigns.some(({ tally }) => tally[fate] > 0));
  const header = ['campaign', 'state', 'rows', ...met, 'pending', 'next due', 'started', 'finished'];
  const lines = campaigns.map((one) => [
    one.name,
    stateInWords(one),
    count(one.rows),
    ...met.map((fate) => count(one.tally[fate])),
    count(one.pending),
    instantOf(one.nextDueAt),
    instantOf(one.startedAt),
    instantOf(one.finishedAt),
  ]);
  const isNumber = (column: number): boolean => column >= 2 && column < met.length + 4;
  const widths = header.map((title, column) =>
    Math.max(title.length, ...lines.map((cells) => cells[column]?.length ?? 0)),
  );
  const format = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        isNumber(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return `${[header, ...lines].map((cells) => format(cells)).join('\n')}\n`;
}

function stateInWords({ state, running, nextDueAt, compactedAt }: CampaignStatus): string {
  switch (state) {
    case 'takingIn':
      return running ? 'taking in' : 'stopped while taking in';
    case 'sending':
      return running ? 'sending' : 'stopped while sending';
    case 'waiting':
      return `waiting until ${instantOf(nextDueAt)}`;
    case 'finished':
      return compactedAt === undefined ? 'finished' : `finished, rows gone since ${formatDay(compactedAt)}`;
    default:
      return unreachable(state);
  }
}

function instantOf(at: number | undefined): string {
  return at === undefined ? '-' : formatInstant(at);
}
