// posthaste status: all campaigns of a state directory, or of a daemon, in a table, or one of them.
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { formatDay, formatInstant } from '../base/instant.ts';
import { unreachable } from '../base/invariant.ts';
import * as answers from '../control/answers.ts';
import type { ControlClient } from '../control/client.ts';
import { readStatus, type CampaignStatus } from '../daemon/status.ts';
import { fates } from '../mail/outcome.ts';
import { addDaemonOptions, placesOf, type DaemonOptions } from './daemon_client.ts';
import { readOrAsk } from './held_state.ts';
import { findCampaign } from './named_campaign.ts';
import type { SetExitCode } from './command_line.ts';
import { count } from './print.ts';
import { formatTable } from './table.ts';

export function addStatus(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('status')
    .description(
      'show where campaigns stand: state, rows, fates, what is pending and since when; asks the daemon where one runs',
    )
    .argument('[campaign]', 'the name of a campaign, or its file; else all');
  addDaemonOptions(command).action(async (campaign: string | undefined, options: DaemonOptions) =>
    setExitCode(await status(campaign, options)),
  );
}

/** What is to be printed: as JSON, and for people. */
interface Shown {
  readonly json: unknown;
  readonly text: string;
}

async function status(campaign: string | undefined, options: DaemonOptions): Promise<ExitCode> {
  const name = campaign === undefined ? undefined : findCampaign(campaign).name;
  const shown = await readOrAsk(
    options,
    () => readLedger(name, options),
    (client) => askDaemon(name, client),
  );
  process.stdout.write(options.json === true ? `${JSON.stringify(shown.json)}\n` : shown.text);
  return ExitCode.ok;
}

async function readLedger(name: string | undefined, options: DaemonOptions): Promise<Shown> {
  const { stateDir, socketPath } = placesOf(options);
  // Looking must not make a state directory where there is none; a daemon's may be hidden from us.
  const nothing = name === undefined && !existsSync(stateDir) && !existsSync(socketPath);
  const campaigns = nothing ? [] : await readStatus(stateDir, name, Date.now());
  const text = campaigns.length === 0 ? `no campaign in ${stateDir} yet\n` : tableOf(campaigns);
  return { json: jsonOf(campaigns), text };
}

async function askDaemon(name: string | undefined, client: ControlClient): Promise<Shown> {
  const campaigns =
    name === undefined
      ? answers.campaigns.parse(await client.call({ method: 'GET', path: '/v1/campaigns' })).campaigns
      : [
          answers.campaign.parse(
            await client.call({ method: 'GET', path: `/v1/campaigns/${encodeURIComponent(name)}` }),
          ),
        ];
  const json = { type: 'status', campaigns: campaigns.map(({ tally, ...one }) => ({ ...one, ...tally })) };
  return { json, text: campaigns.length === 0 ? 'no campaign yet\n' : tableOfDaemon(campaigns) };
}

/** A daemon knows more: how fast, how long still, and what binds. */
export function tableOfDaemon(campaigns: readonly answers.CampaignView[]): string {
  return formatTable(
    [
      'campaign',
      'state',
      'pending',
      'a second',
      'left',
      'what binds',
      'accepted',
      'rejected',
      'others',
      'rows',
    ],
    campaigns.map((one) => {
      const tally = new Map(Object.entries(one.tally));
      const ended = [...tally.values()].reduce((sum, rows) => sum + rows, 0);
      const [accepted = 0, rejected = 0] = [tally.get('accepted'), tally.get('rejected')];
      return [
        one.name,
        one.state,
        count(one.pending),
        count(one.perSecond),
        one.etaSeconds === undefined ? '-' : formatSeconds(one.etaSeconds),
        one.binds ?? one.reason ?? '-',
        count(accepted),
        count(rejected),
        count(ended - accepted - rejected),
        count(one.rows),
      ];
    }),
    new Set([2, 3, 4, 6, 7, 8, 9]),
  );
}

function formatSeconds(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return `${Math.ceil(seconds)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
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

/** A column for each fate that some campaign knows. */
function tableOf(campaigns: readonly CampaignStatus[]): string {
  const met = fates.filter((fate) => campaigns.some(({ tally }) => tally[fate] > 0));
  const header = ['campaign', 'state', 'rows', ...met, 'pending', 'next due', 'started', 'finished'];
  const rows = campaigns.map((one) => [
    one.name,
    stateInWords(one),
    count(one.rows),
    ...met.map((fate) => count(one.tally[fate])),
    count(one.pending),
    instantOf(one.nextDueAt),
    instantOf(one.startedAt),
    instantOf(one.finishedAt),
  ]);
  const numbers = Array.from({ length: met.length + 2 }, (_, index) => index + 2);
  return formatTable(header, rows, new Set(numbers));
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
