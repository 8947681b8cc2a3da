// posthaste compact: the rows of campaigns that finished long ago go, their records stay, and the disk gets its space back.
import { existsSync } from 'node:fs';
import { InvalidArgumentError, type Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { formatInstant } from '../base/instant.ts';
import { parseDurationMs } from '../base/quantity.ts';
import { loadConfig } from '../config/load_config.ts';
import { compactState, type CompactReport } from '../daemon/compact.ts';
import type { SetExitCode } from './command_line.ts';
import { count } from './print.ts';
import { configPlaces } from './send.ts';

interface CompactFlags {
  readonly config?: string;
  readonly state?: string;
  readonly olderThan?: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function addCompact(program: Command, setExitCode: SetExitCode): void {
  program
    .command('compact')
    .description('remove the rows of campaigns that finished long ago; names, digests and sums stay')
    .option(
      '--older-than <duration>',
      'finished before that, such as 30d (else keep of the configuration)',
      parseAge,
    )
    .option('--dry-run', 'say which these are, and change nothing')
    .option('--config <file>', `the configuration file (else ${configPlaces.join(' or ')})`)
    .option('--state <dir>', 'where the ledger is kept')
    .option('--json', 'one object on stdout')
    .action(async (flags: CompactFlags) => setExitCode(await compact(flags)));
}

async function compact(flags: CompactFlags): Promise<ExitCode> {
  const { config = configPlaces.find(existsSync), state, olderThan, dryRun = false, json } = flags;
  const { stateDir, keepMs } = loadConfig(config, process.env, { state });
  const interrupted = listenForStop();
  try {
    const report = await compactState(stateDir, {
      keepMs: olderThan ?? keepMs,
      now: Date.now(),
      stopped: interrupted.isStopped,
      dryRun,
    });
    process.stdout.write(
      json === true ? `${JSON.stringify(jsonOf(report, dryRun))}\n` : describe(report, dryRun),
    );
    if (olderThan === undefined && keepMs === undefined)
      process.stderr.write(
        'posthaste: keep is forever, so none is due; --older-than 30d would name an age\n',
      );
    return interrupted.isStopped() ? ExitCode.tempFail : ExitCode.ok;
  } finally {
    interrupted.close();
  }
}

function jsonOf({ campaigns, before, after }: CompactReport, dryRun: boolean): Record<string, unknown> {
  return {
    type: 'compact',
    dryRun,
    campaigns: campaigns.map(({ name, rows }) => ({ name, rows })),
    bytesBefore: before.fileBytes,
    bytesAfter: after.fileBytes,
    freeBytes: after.freeBytes,
  };
}

function describe({ campaigns, before, after }: CompactReport, dryRun: boolean): string {
  const verb = dryRun ? 'would go' : 'are gone';
  const lines = campaigns.map(
    ({ name, rows, finishedAt }) =>
      `${name}: ${count(rows)} rows ${verb}, finished ${finishedAt === undefined ? '-' : formatInstant(finishedAt)}\n`,
  );
  const kept = after.canShrink
    ? ''
    : ', which stay in the file and are used again: it was made by an earlier version';
  const free = after.freeBytes === 0 ? '' : `, ${mebibytes(after.freeBytes)} of it free${kept}`;
  const size = dryRun
    ? `the ledger has ${mebibytes(before.fileBytes)}${free}\n`
    : `the ledger had ${mebibytes(before.fileBytes)}, and has ${mebibytes(after.fileBytes)}${free}\n`;
  return `${lines.length === 0 ? `no campaign ${dryRun ? 'would lose' : 'lost'} its rows\n` : lines.join('')}${size}`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}

/** A signal ends it after the step at hand; the next time goes on. */
function listenForStop(): { isStopped: () => boolean; close: () => void } {
  let stopped = false;
  const stop = (): void => {
    stopped = true;
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return {
    isStopped: () => stopped,
    close: () => {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    },
  };
}

function parseAge(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new InvalidArgumentError('expected a duration such as 30d or 12h.');
  return ms;
}
