// posthaste results: the list given back with the fate of each row, or of some, at any time.
import { existsSync } from 'node:fs';
import { InvalidArgumentError, type Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { loadCampaign } from '../config/load_campaign.ts';
import { loadConfig } from '../config/load_config.ts';
import { openResults } from '../daemon/results.ts';
import { domainOf } from '../mail/address.ts';
import { parseCampaignName } from './campaign_name.ts';
import type { SetExitCode } from './command_line.ts';
import { resultStates, writeResults, type ResultState } from './results_file.ts';
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
    .argument('<campaign>', 'the campaign file (YAML)')
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

async function results(campaignPath: string, options: ResultsOptions): Promise<ExitCode> {
  const { config = configPlaces.find(existsSync), state, output, only } = options;
  const { stateDir } = loadConfig(config, process.env, { state });
  const { campaign } = loadCampaign(campaignPath, process.env, options.as);
  const { columns, pages, close } = await openResults(stateDir, campaign.name);
  try {
    const fromDomain = domainOf(campaign.from.address);
    await writeResults(output, { campaign: campaign.name, fromDomain, columns, pages, only });
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
