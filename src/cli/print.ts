// Printing: errors and reports as people read them. Data goes to stdout, the rest to stderr.
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { unreachable } from '../base/invariant.ts';
import { describeList } from '../daemon/describe_list.ts';
import type { SendReport } from '../daemon/campaign_run.ts';
import { fates } from '../mail/outcome.ts';

/** Prints an error on stderr and returns its exit code. With `json` also as one object on stdout. */
export function printError(error: unknown, json: boolean): ExitCode {
  const known = error instanceof PosthasteError ? error : undefined;
  const exitCode = known?.exitCode ?? ExitCode.software;
  if (json) {
    const { code = 'ERR_BUG', hint, where } = known ?? {};
    process.stdout.write(
      `${JSON.stringify({ type: 'error', code, message: messageOf(error), where, hint, exitCode })}\n`,
    );
  }
  process.stderr.write(known === undefined ? describeBug(error) : describeError(known));
  return exitCode;
}

function describeError(error: PosthasteError): string {
  const where = error.where === undefined ? '' : `${error.where}: `;
  const hint = error.hint === undefined ? '' : `  ${error.hint}\n`;
  return `posthaste: ${where}${error.message}\n${hint}`;
}

function describeBug(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `posthaste: a bug of ours; nothing that was settled is lost.\n${stack}\n`;
}

/** The summary object of the contract. */
export function summaryOf(report: SendReport): Record<string, unknown> {
  return {
    type: 'summary',
    campaign: report.campaign,
    end: report.end,
    rows: report.rows,
    // JSON leaves out what is undefined.
    known: report.laterList?.known,
    ...report.tally,
    deferred: report.pending,
    seconds: round(report.seconds, 3),
    perSecond: round(report.perSecond, 1),
    limitedBy: report.bottleneck,
  };
}

/** The summary for people. */
export function describeReport(report: SendReport, resultsPath: string | undefined): string {
  const counts = fates
    .filter((fate) => report.tally[fate] > 0)
    .map((fate) => `${fate} ${count(report.tally[fate])}`);
  if (report.pending > 0) counts.push(`pending ${count(report.pending)}`);
  const lines = [
    `${report.campaign}: ${headline(report)}`,
    `  ${counts.length === 0 ? 'no row has a fate yet' : counts.join('  ')}`,
    ...(report.laterList === undefined ? [] : [`  this list: ${describeList(report.laterList)}`]),
    ...(report.bottleneck === undefined ? [] : [`  limited by ${report.bottleneck}`]),
    ...(resultsPath === undefined ? [] : [`  results in ${resultsPath}`]),
  ];
  return `${lines.join('\n')}\n`;
}

function headline(report: SendReport): string {
  const rows = `${count(report.rows)} rows`;
  switch (report.end) {
    case 'already':
      return `finished before, nothing was sent now; ${rows}`;
    case 'stopped':
      return `stopped before the end, the same command goes on; ${rows} so far`;
    case 'finished':
      return `${rows} in ${report.seconds.toFixed(1)} s, ${count(report.perSecond)} messages/s`;
    default:
      return unreachable(report.end);
  }
}

/** "20,000" */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
