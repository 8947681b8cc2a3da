// posthaste results: the list given back with the fate of each row, or of some, at any time.
import { InvalidArgumentError, type Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { openResults } from '../daemon/results.ts';
import { resultStates, type ResultState } from '../daemon/results_text.ts';
import { domainOf } from '../mail/address.ts';
import { nameVariants } from '../mail/variant.ts';
import { parseCampaignName } from './campaign_name.ts';
import type { ControlClient } from '../control/client.ts';
import { addDaemonOptions, placesOf, type DaemonOptions } from './daemon_client.ts';
import { readOrAsk } from './held_state.ts';
import { findCampaign, type NamedCampaign } from './named_campaign.ts';
import type { SetExitCode } from './command_line.ts';
import { formatOf, writePieces, writeResults } from './results_file.ts';

interface ResultsOptions extends DaemonOptions {
  readonly as?: string;
  readonly output: string;
  readonly only?: ReadonlySet<ResultState>;
}

export function addResults(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('results')
    .description('write the list with the fate of each row, as far as it is known')
    .argument(
      '<campaign>',
      'the campaign file, or the name of a campaign: then without message_id and variant',
    )
    .option('--output <file>', 'CSV, or NDJSON by its ending; - is standard output, as CSV', '-')
    .option(
      '--only <states>',
      `rows that are in one of these, such as rejected,expired: ${resultStates.join(', ')}`,
      parseStates,
    )
    .option('--as <name>', "the name that the campaign was sent under, if not the file's", parseCampaignName);
  addDaemonOptions(command).action(async (campaign: string, options: ResultsOptions) =>
    setExitCode(await results(campaign, options)),
  );
}

async function results(named: string, options: ResultsOptions): Promise<ExitCode> {
  const campaign = findCampaign(named, options.as);
  await readOrAsk(
    options,
    () => readLedger(campaign, options),
    (client) => writePieces(options.output, askDaemon(client, campaign.name, options)),
  );
  return ExitCode.ok;
}

async function readLedger({ name, file }: NamedCampaign, options: ResultsOptions): Promise<void> {
  const { output, only } = options;
  const { columns, pages, close } = await openResults(placesOf(options).stateDir, name);
  try {
    // What follows from the campaign's From and variants only its file knows; nothing is made up for it.
    const known =
      file === undefined
        ? {}
        : {
            fromDomain: domainOf(file.campaign.from.address),
            variantOf: nameVariants(name, file.campaign.variants),
          };
    await writeResults(output, { campaign: name, ...known, columns, pages, only });
  } finally {
    await close();
  }
}

async function* askDaemon(
  client: ControlClient,
  name: string,
  { output, only }: ResultsOptions,
): AsyncGenerator<string, void, undefined> {
  const query = new URLSearchParams({
    format: formatOf(output),
    ...(only === undefined ? {} : { only: [...only].join(',') }),
  });
  const path = `/v1/campaigns/${encodeURIComponent(name)}/results?${query.toString()}`;
  // A chunk may end in the middle of a character.
  const decoder = new TextDecoder();
  for await (const chunk of client.stream({ method: 'GET', path }))
    yield decoder.decode(chunk, { stream: true });
}

function parseStates(text: string): ReadonlySet<ResultState> {
  const states = text.split(',').map((word) => {
    const state = resultStates.find((one) => one === word.trim());
    if (state === undefined)
      throw new InvalidArgumentError(`"${word}" is none of ${resultStates.join(', ')}.`);
    return state;
  });
  return new Set(states);
}
