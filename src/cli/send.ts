// posthaste send: one campaign in the foreground, to its end; the same command again goes on.
import { existsSync } from 'node:fs';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { chooseRelays } from '../config/choose_relay.ts';
import { loadCampaign, type CampaignFile } from '../config/load_campaign.ts';
import { loadConfig, type Config } from '../config/load_config.ts';
import { openLog } from '../daemon/log.ts';
import { chooseStyle, createAddressHider } from '../daemon/log_style.ts';
import type { SendReport } from '../daemon/campaign_run.ts';
import type { SendRequest, Sending } from '../daemon/send.ts';
import { warnAboutSigning } from '../daemon/signing.ts';
import { startThreads } from '../daemon/threads.ts';
import { domainOf } from '../mail/address.ts';
import { nameVariants } from '../mail/variant.ts';
import { parseCampaignName } from './campaign_name.ts';
import type { SetExitCode } from './command_line.ts';
import { describeReport, summaryOf } from './print.ts';
import { openProgress } from './progress.ts';
import { writeResults } from './results_file.ts';
import { version } from './version.ts';

/** Options that every sending command knows. */
export interface SendingOptions {
  readonly config?: string;
  readonly state?: string;
  readonly relay?: string;
  readonly metrics?: string;
  readonly results?: string;
  readonly json?: boolean;
  readonly as?: string;
  readonly partial?: boolean;
  readonly expectRows?: number;
}

export const configPlaces = ['posthaste.yaml', '/etc/posthaste/posthaste.yaml'];
const batchRows = 250;

export function addSend(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('send')
    .description(
      'send a campaign in the foreground, to the end; the same command again goes on where it stopped',
    )
    .argument('<campaign>', 'the campaign file (YAML)')
    .argument('[list]', 'the list: CSV or NDJSON, plain, gzip or zstd; - is standard input');
  addSendingOptions(command)
    .option('--partial', 'take a list from a pipe even if it seems to be cut off')
    .addOption(
      new Option('--expect-rows <number>', 'refuse a list with fewer rows, as cut off')
        .argParser(parseRows)
        .conflicts('partial'),
    )
    .action(async (campaignPath: string, listPath: string | undefined, options: SendingOptions) => {
      setExitCode(await send(campaignPath, listPath, options));
    });
}

/** The options of `SendingOptions`, for the command line. */
export function addSendingOptions(command: Command): Command {
  return command
    .option('--config <file>', `the configuration file (else ${configPlaces.join(' or ')})`)
    .option('--state <dir>', 'where the ledger is kept')
    .option(
      '--relay <url>',
      'smtp://, smtp+starttls:// or smtps://user:password@host:port (else $POSTHASTE_RELAY)',
    )
    .option('--metrics <host:port>', 'serve /metrics, /healthz and /readyz there while sending')
    .option('--results <file>', "write the list with each row's fate: CSV, or NDJSON by its ending")
    .option('--json', 'end with one summary object on stdout')
    .option('--as <name>', "the campaign's name, in place of the file's", parseCampaignName);
}

/** What is to be done in the ledger before sending. */
type Prepare = (sending: Sending, campaign: string) => Promise<void>;

/**
 * Runs the command. Returns the exit code of the contract; throws what `printError` prints. With `prepare` the campaign and its
 * list must be in the ledger already, and no list is read.
 */
export async function send(
  campaignPath: string,
  listPath: string | undefined,
  options: SendingOptions,
  prepare?: Prepare,
): Promise<ExitCode> {
  const { state, metrics } = options;
  const relayUrl = options.relay ?? process.env['POSTHASTE_RELAY'];
  const config = loadConfig(options.config ?? configPlaces.find(existsSync), process.env, {
    state,
    metrics,
    relay: relayUrl,
  });
  const file = loadCampaign(campaignPath, process.env, options.as);
  const sending = await (prepare === undefined
    ? open(config, file, listPath ?? file.list.file, options, 'begin')
    : open(config, file, undefined, options, 'find'));
  const stopListening = stopOnSignals(sending);
  if (sending.metricsUrl !== undefined)
    process.stderr.write(`posthaste: metrics on ${sending.metricsUrl}/metrics\n`);
  try {
    await prepare?.(sending, file.campaign.name);
    const exitCode = await runAndReport(sending, file, options);
    if (exitCode === ExitCode.ok) await sending.compact(config.keepMs);
    return exitCode;
  } finally {
    stopListening();
    await sending.close();
  }
}

async function open(
  config: Config,
  file: CampaignFile,
  listPath: string | undefined,
  { partial, expectRows: expectedRows }: SendingOptions,
  how: 'begin' | 'find',
): Promise<Sending> {
  // On a terminal the progress line tells what the log would; there the log is for trouble only.
  const isTerminal = process.stderr.isTTY;
  const log = openLog(
    {
      level: isTerminal ? 'warn' : config.logLevel,
      style: chooseStyle(isTerminal, process.env['JOURNAL_STREAM'], process.stderr.fd),
      hide: config.showsAddresses ? undefined : createAddressHider(),
    },
    process.stderr,
  );
  const warnings = [...config.warnings, ...warnAboutSigning(config.dkim, file.campaign)];
  for (const warning of warnings) process.stderr.write(`posthaste: warning: ${warning}\n`);
  const { relays, shares } = chooseRelays(config, file);
  const request: SendRequest = {
    engine: {
      stateDir: config.stateDir,
      durability: config.durability,
      threads: config.threads,
      relays,
      dkim: config.dkim,
      pace: config.pace,
      lanes: config.lanes,
      fromDomains: config.fromDomains,
      drainTimeoutMs: config.drainTimeoutMs,
      isPatient: false,
      tellsRecipients: false,
    },
    campaign: {
      campaign: file.campaign,
      relays: shares,
      pace: file.pace,
      priority: file.priority,
      retry: file.retry,
      time: file.time,
      pauseAbove: file.pauseAbove,
      inDoubt: file.inDoubt,
      listPath,
      list: { ...file.list, batchRows, partial, expectedRows },
    },
    planDigest: file.digest,
    metrics: config.metrics,
    version: version(),
  };
  // They load what they need on another core while this thread loads the rest.
  const threads = startThreads(request.engine);
  try {
    const { openSending } = await import('../daemon/send.ts');
    return await openSending(request, threads, log, how);
  } catch (error) {
    await threads.pool.close();
    throw error;
  }
}

async function runAndReport(
  sending: Sending,
  file: CampaignFile,
  options: SendingOptions,
): Promise<ExitCode> {
  const progress = openProgress(process.stderr, file.campaign.name, () => sending.describeHold());
  sending.subscribe((event) => progress.note(event));
  let report: SendReport;
  try {
    report = await sending.run();
  } finally {
    progress.close();
    if (options.results !== undefined && sending.hasRows)
      await writeAllResults(sending, file, options.results);
  }
  if (options.json === true) process.stdout.write(`${JSON.stringify(summaryOf(report))}\n`);
  process.stderr.write(describeReport(report, sending.hasRows ? options.results : undefined));
  if (options.results !== undefined) sending.checkRows();
  return report.end === 'stopped' ? ExitCode.tempFail : ExitCode.ok;
}

async function writeAllResults(sending: Sending, file: CampaignFile, path: string): Promise<void> {
  const { campaign } = file;
  await writeResults(path, {
    campaign: campaign.name,
    fromDomain: domainOf(campaign.from.address),
    columns: await sending.columns(),
    variantOf: nameVariants(campaign.name, campaign.variants),
    pages: sending.readResults(),
  });
}

/** For options of commander: a number of rows. */
export function parseRows(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 on.');
  return Number(text);
}

/** The first signal drains, the second one stops at once. Returns what ends the listening. */
function stopOnSignals(sending: Sending): () => void {
  let seen = 0;
  const onSignal = (): void => {
    seen += 1;
    if (seen === 1)
      process.stderr.write('\nposthaste: stopping; finishing what is in flight (again: stop at once)\n');
    sending.stop(seen === 1 ? 'drain' : 'now');
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return () => {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  };
}
