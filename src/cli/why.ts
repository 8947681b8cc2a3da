// posthaste why: what happened to an address, in the campaigns of the daemon.
import type { Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import * as answers from '../control/answers.ts';
import type { SetExitCode } from './command_line.ts';
import { addDaemonOptions, openClient, type DaemonOptions } from './daemon_client.ts';

interface WhyOptions extends DaemonOptions {
  readonly campaign?: string;
}

export function addWhy(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('why')
    .description('what happened to an address, in all campaigns of the daemon or in one, the newest first')
    .argument('<address>', "the recipient's address")
    .option('--campaign <name>', 'in this campaign alone');
  addDaemonOptions(command).action(async (address: string, options: WhyOptions) =>
    setExitCode(await why(address, options)),
  );
}

async function why(address: string, { campaign, ...options }: WhyOptions): Promise<ExitCode> {
  const query = new URLSearchParams({ address, ...(campaign === undefined ? {} : { campaign }) });
  const { recipients } = answers.recipients.parse(
    await openClient(options).call({ method: 'GET', path: `/v1/recipients?${query.toString()}` }),
  );
  if (options.json === true) process.stdout.write(`${JSON.stringify({ type: 'recipients', recipients })}\n`);
  else if (recipients.length === 0) process.stdout.write(`${address} is in no list here\n`);
  else
    for (const one of recipients) {
      const when = one.at === undefined ? '' : ` at ${one.at}`;
      const reply = one.reply === '' ? '' : `: ${one.reply}`;
      const by = one.relay === '' ? '' : ` by ${one.relay}`;
      process.stdout.write(
        `${one.campaign}, line ${one.line}: ${one.status} after ${one.attempts} attempts${by}${when}${reply}\n`,
      );
    }
  return ExitCode.ok;
}
