// posthaste results: the list given back with the fate of each row, or of some, at any time.
import { existsSync } from 'node:fs';
import { InvalidArgumentError, type Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { loadConfig } from '../config/load_config.ts';
import { openResults } from '../daemon/results.ts';
import { resultStates, type ResultState } from '../daemon/results_text.ts';
import { domainOf } from '../mail/address.ts';
import { nameVariants } from '../mail/variant.ts';
import { parseCampaignName } from './campaign_name.ts';
import { findCampaign } from './named_campaign.ts';
import type { SetExitCode } from './command_line.ts';
import { writeResults } from './results_file.ts';
import { configPlaces } from './send.ts';

interface ResultsOptions {
  readonly config?: string;
  readonly state?: string;
  readonly as?: string;
  readonly output: string;
  readonly only?: ReadonlySet<ResultState>;
}

export function addResults(program: Command, setExitCode: SetExitCode): void {
  program
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
    .option('--as <name>', "the name that the campaign was sent under, if not the file's", parseCampaignName)
    .option('--config <file>', `the configuration file (else ${configPlaces.join(' or ')})`)
    .option('--state <dir>', 'where the ledger is kept')
    .action(async (campaign: string, options: ResultsOptions) =>
      setExitCode(await results(campaign, options)),
    );
}

async function results(named: string, options: ResultsOptions): Promise<ExitCode> {
  const { config = configPlaces.find(existsSync), state, output, only } = options;
  const { stateDir } = loadConfig(config, process.env, { state });
  const { name, file } = findCampaign(named, options.as);
  const { columns, pages, close } = await openResults(stateDir, name);
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
    return ExitCode.ok;
  } finally {
    await close();
  }
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
