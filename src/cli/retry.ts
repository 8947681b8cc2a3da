// posthaste retry: again for some: rows that were rejected, expired, in doubt or cancelled.
import { existsSync } from 'node:fs';
import { InvalidArgumentError, type Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { loadCampaign } from '../config/load_campaign.ts';
import { loadConfig } from '../config/load_config.ts';
import { countRetry } from '../daemon/retry.ts';
import type { Sending } from '../daemon/send.ts';
import type { RetryChoice } from '../ledger/ledger.ts';
import {
  emptyTally,
  fates,
  retriableFates,
  sumTally,
  type Fate,
  type RetriableFate,
  type Tally,
} from '../mail/outcome.ts';
import { categories } from '../mail/verdict.ts';
import type { SetExitCode } from './command_line.ts';
import * as answers from '../control/answers.ts';
import type { ControlClient } from '../control/client.ts';
import { readOrAsk } from './held_state.ts';
import { findCampaign } from './named_campaign.ts';
import { count } from './print.ts';
import { addSendingOptions, configPlaces, send, type SendingOptions } from './send.ts';

interface RetryOptions extends SendingOptions {
  readonly only: RetryChoice['fates'];
  readonly category?: ReadonlySet<string>;
  readonly dryRun?: boolean;
}

export function addRetry(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('retry')
    .description('send again to those rows of a campaign that ended in one of some ways')
    .argument('<campaign>', 'the campaign file (YAML), as it was sent')
    .requiredOption('--only <fates>', `one or more of ${retriableFates.join(',')}`, parseFates)
    .option(
      '--category <names>',
      `of these only such as the results call so, for instance mailbox-full,policy`,
      parseCategories,
    )
    .option('--dry-run', 'count them, and change nothing');
  addSendingOptions(command).action(async (campaignPath: string, options: RetryOptions) => {
    setExitCode(await retry(campaignPath, options));
  });
}

function retry(campaignPath: string, options: RetryOptions): Promise<ExitCode> {
  const choice: RetryChoice = { fates: options.only, categories: options.category };
  if (options.dryRun === true) return countOnly(campaignPath, choice, options);
  return readOrAsk(
    options,
    () =>
      send(campaignPath, undefined, options, (sending, campaign) =>
        prepare(sending, campaign, choice, options.json === true),
      ),
    (client) => askDaemon(client, campaignPath, choice, options),
  );
}

/** It sends them, too; what comes of it is for its status to tell. */
async function askDaemon(
  client: ControlClient,
  campaignPath: string,
  choice: RetryChoice,
  options: RetryOptions,
): Promise<ExitCode> {
  const { name } = findCampaign(campaignPath, options.as);
  const json = {
    fates: [...choice.fates],
    ...(choice.categories === undefined ? {} : { categories: [...choice.categories] }),
  };
  const path = `/v1/campaigns/${encodeURIComponent(name)}/retry`;
  const { tally } = answers.retried.parse(await client.call({ method: 'POST', path, json }));
  report(name, choice, { ...emptyTally(), ...tally }, { json: options.json === true, dryRun: false });
  return ExitCode.ok;
}

async function prepare(
  sending: Sending,
  campaign: string,
  choice: RetryChoice,
  json: boolean,
): Promise<void> {
  const tally = await sending.retry(choice);
  report(campaign, choice, tally, { json, dryRun: false });
}

async function countOnly(
  campaignPath: string,
  choice: RetryChoice,
  { config = configPlaces.find(existsSync), state, json, as }: RetryOptions,
): Promise<ExitCode> {
  const { stateDir } = loadConfig(config, process.env, { state });
  const { campaign, digest } = loadCampaign(campaignPath, process.env, as);
  const ends = await countRetry(stateDir, campaign.name, digest, choice);
  const tally = emptyTally();
  for (const { fate, rows } of ends) tally[fate] += rows;
  report(campaign.name, choice, tally, { json: json === true, dryRun: true });
  if (json === true) return ExitCode.ok;
  for (const { fate, classification, rows } of ends)
    process.stdout.write(
      `  ${fate.padEnd(10)}${(classification || '-').padEnd(20)}${count(rows).padStart(12)}\n`,
    );
  return ExitCode.ok;
}

function report(
  campaign: string,
  choice: RetryChoice,
  tally: Tally,
  { json, dryRun }: { json: boolean; dryRun: boolean },
): void {
  const rows = sumTally(tally);
  const met = fates.filter((fate) => tally[fate] > 0);
  if (json) {
    const counts = Object.fromEntries(met.map((fate) => [fate, tally[fate]]));
    process.stdout.write(`${JSON.stringify({ type: 'retry', campaign, dryRun, rows, ...counts })}\n`);
  }
  process.stderr.write(`${campaign}: ${rows === 0 ? nothing(choice) : again(tally, met, dryRun)}\n`);
}

function nothing({ fates, categories }: RetryChoice): string {
  const of = categories === undefined ? '' : ` for ${[...categories].join(' or ')}`;
  return `nothing to retry: no finished row is ${[...fates].join(' or ')}${of}`;
}

function again(tally: Tally, met: readonly Fate[], dryRun: boolean): string {
  const counts = met.map((fate) => `${fate} ${count(tally[fate])}`).join('  ');
  const doubt =
    tally.inDoubt === 0
      ? ''
      : `\n  warning: ${count(tally.inDoubt)} of them may have the message already, and would get it twice`;
  return `${count(sumTally(tally))} rows ${dryRun ? 'would be' : 'are'} sent again: ${counts}${doubt}`;
}

function parseFates(text: string): RetryChoice['fates'] {
  const chosen = text.split(',').map((word) => {
    const fate = retriableFates.find((one) => one === word.trim());
    if (fate === undefined) throw new InvalidArgumentError(refusalOf(word.trim()));
    return fate;
  });
  return new Set(chosen);
}

/** Why rows with these fates are not for a retry. */
const refusals: Readonly<Record<Exclude<Fate, RetriableFate>, string>> = {
  accepted: 'the relay took these messages, and nobody gets one twice.',
  duplicate: 'the first row with the address stands for them all.',
  invalid:
    'there is nobody to send to, or no message; correct the list and send it as a campaign of another name.',
  suppressed: 'they must not be mailed.',
};

function refusalOf(word: string): string {
  const reason = new Map(Object.entries(refusals)).get(word) ?? `"${word}" is no fate.`;
  return `${reason} A retry takes ${retriableFates.join(', ')}.`;
}

function parseCategories(text: string): ReadonlySet<string> {
  const chosen = text.split(',').map((word) => {
    const category = categories.find((one) => one === word.trim());
    if (category === undefined)
      throw new InvalidArgumentError(`"${word.trim()}" is none of ${categories.join(', ')}.`);
    return category;
  });
  return new Set(chosen);
}
