// posthaste send: one campaign in the foreground, to its end; the same command again goes on.
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { chooseRelay } from '../config/choose_relay.ts';
import { loadCampaign, type CampaignFile } from '../config/load_campaign.ts';
import { loadConfig, type Config } from '../config/load_config.ts';
import { openLog } from '../daemon/log.ts';
import { openSending, type Sending, type SendReport } from '../daemon/send.ts';
import { warnAboutSigning } from '../daemon/signing.ts';
import { domainOf } from '../mail/address.ts';
import { nameVariants } from '../mail/variant.ts';
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
}

export const configPlaces = ['posthaste.yaml', '/etc/posthaste/posthaste.yaml'];
/** How long a first SIGTERM waits for what is in flight; systemd's TimeoutStopSec is 90 s. */
const drainTimeoutMs = 30_000;
const batchRows = 250;

export function addSend(program: Command, setExitCode: SetExitCode): void {
  program
    .command('send')
    .description(
      'send a campaign in the foreground, to the end; the same command again goes on where it stopped',
    )
    .argument('<campaign>', 'the campaign file (YAML)')
    .argument('[list]', 'the list: CSV or NDJSON, plain, gzip or zstd; - is standard input')
    .option('--config <file>', `the configuration file (else ${configPlaces.join(' or ')})`)
    .option('--state <dir>', 'where the ledger is kept')
    .option(
      '--relay <url>',
      'smtp://, smtp+starttls:// or smtps://user:password@host:port (else $POSTHASTE_RELAY)',
    )
    .option('--metrics <host:port>', 'serve /metrics, /healthz and /readyz there while sending')
    .option('--results <file>', "write the list with each row's fate: CSV, or NDJSON by its ending")
    .option('--json', 'end with one summary object on stdout')
    .action(async (campaignPath: string, listPath: string | undefined, options: SendingOptions) => {
      setExitCode(await send(campaignPath, listPath, options));
    });
}

/** Runs the command. Returns the exit code of the contract; throws what `printError` prints. */
export async function send(
  campaignPath: string,
  listPath: string | undefined,
  options: SendingOptions,
): Promise<ExitCode> {
  const { state, metrics } = options;
  const relayUrl = options.relay ?? process.env['POSTHASTE_RELAY'];
  const config = loadConfig(options.config ?? configPlaces.find(existsSync), process.env, {
    state,
    metrics,
    relay: relayUrl,
  });
  const file = loadCampaign(campaignPath);
  const sending = await open(config, file, listPath);
  const stopListening = stopOnSignals(sending);
  if (sending.metricsUrl !== undefined)
    process.stderr.write(`posthaste: metrics on ${sending.metricsUrl}/metrics\n`);
  try {
    return await runAndReport(sending, file, options);
  } finally {
    stopListening();
    await sending.close();
  }
}

async function open(config: Config, file: CampaignFile, listPath: string | undefined): Promise<Sending> {
  // On a terminal the progress line tells what the log would; there the log is for trouble only.
  const log = openLog(process.stderr.isTTY ? 'warn' : config.logLevel, process.stderr);
  const warnings = [...config.warnings, ...warnAboutSigning(config.dkim, file.campaign)];
  for (const warning of warnings) process.stderr.write(`posthaste: warning: ${warning}\n`);
  return openSending(
    {
      stateDir: config.stateDir,
      campaign: file.campaign,
      planDigest: file.digest,
      relay: chooseRelay(config, file.relay),
      dkim: config.dkim,
      rate: file.rate,
      retry: file.retry,
      time: file.time,
      inDoubt: file.inDoubt,
      durability: config.durability,
      listPath: listPath ?? file.list.file,
      list: { ...file.list, batchRows },
      threads: config.threads,
      metrics: config.metrics,
      drainTimeoutMs,
      version: version(),
    },
    log,
  );
}

async function runAndReport(
  sending: Sending,
  file: CampaignFile,
  options: SendingOptions,
): Promise<ExitCode> {
  const progress = openProgress(process.stderr, file.campaign.name);
  sending.subscribe((event) => progress.note(event));
  let report: SendReport;
  try {
    report = await sending.run();
  } finally {
    progress.close();
    if (options.results !== undefined) await writeAllResults(sending, file, options.results);
  }
  if (options.json === true) process.stdout.write(`${JSON.stringify(summaryOf(report))}\n`);
  process.stderr.write(describeReport(report, options.results));
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
