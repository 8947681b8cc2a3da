// posthaste audit: the proof that every row of a campaign has one fate, or waits for it in one place.
import type { Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { formatDay } from '../base/instant.ts';
import { auditCampaign, type AuditReport } from '../daemon/audit.ts';
import * as answers from '../control/answers.ts';
import type { ControlClient } from '../control/client.ts';
import { emptyTally, fates } from '../mail/outcome.ts';
import { addDaemonOptions, placesOf, type DaemonOptions } from './daemon_client.ts';
import { readOrAsk } from './held_state.ts';
import { findCampaign } from './named_campaign.ts';
import type { SetExitCode } from './command_line.ts';
import { count } from './print.ts';

export function addAudit(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('audit')
    .description(
      'prove that the rows of a campaign add up: exit code 0 finished, 75 not yet finished, 70 they do not',
    )
    .argument('<campaign>', 'the name of a campaign, or its file');
  addDaemonOptions(command).action(async (campaign: string, options: DaemonOptions) =>
    setExitCode(await audit(campaign, options)),
  );
}

async function audit(campaign: string, options: DaemonOptions): Promise<ExitCode> {
  const { name } = findCampaign(campaign);
  const report = await readOrAsk(
    options,
    () => auditCampaign(placesOf(options).stateDir, name),
    (client) => askDaemon(client, name),
  );
  process.stdout.write(
    options.json === true ? `${JSON.stringify({ type: 'audit', ...report })}\n` : describe(report),
  );
  if (report.differences.length > 0) return ExitCode.software;
  return report.finished ? ExitCode.ok : ExitCode.tempFail;
}

/** The journals of a daemon that runs are its own: what is in them is under way. */
async function askDaemon(client: ControlClient, name: string): Promise<AuditReport> {
  const path = `/v1/campaigns/${encodeURIComponent(name)}/audit`;
  const { tally, ...report } = answers.audit.parse(await client.call({ method: 'GET', path }));
  const counted = { ...emptyTally(), ...tally };
  return { ...report, tally: counted, unsettled: 0, inDoubt: 0, compactedAt: undefined };
}

function describe({
  campaign,
  rows,
  tally,
  pendingRecipients,
  unsettled,
  inDoubt,
  compactedAt,
  differences,
}: AuditReport): string {
  const found = fates.filter((fate) => tally[fate] > 0).map((fate) => line(fate, tally[fate]));
  const pending = pendingRecipients === 0 ? '' : line('pending', pendingRecipients);
  const known =
    unsettled + inDoubt === 0
      ? ''
      : `  of the pending ${count(unsettled)} are answered by the journal and ${count(inDoubt)} in doubt; the next run settles them\n`;
  const verdict =
    differences.length === 0
      ? `it adds up: ${compactedAt === undefined ? 'each row is in one place' : 'the sums are as many as the rows'}\n`
      : differences
          .map(
            (one) =>
              `DIFFERENCE  ${one.subject}: ${count(one.expected)} expected, ${count(one.found)} found\n`,
          )
          .join('');
  const how =
    compactedAt === undefined
      ? 'recounted row by row'
      : `its rows are gone since ${formatDay(compactedAt)}, only the sums could be checked`;
  return `${campaign}: ${how}\n${found.join('')}${pending}${line('rows', rows)}${known}${verdict}`;
}

function line(what: string, rows: number): string {
  return `  ${what.padEnd(12)}${count(rows).padStart(14)}\n`;
}
