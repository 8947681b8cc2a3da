// posthaste pause, resume, cancel, rate, priority, complaints: steer a campaign of the daemon while it runs.
import { InvalidArgumentError, type Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { parseByteRate, parseRate } from '../base/quantity.ts';
import * as answers from '../control/answers.ts';
import type { SetExitCode } from './command_line.ts';
import { addDaemonOptions, openClient, type DaemonOptions } from './daemon_client.ts';

interface Steering {
  readonly paused?: boolean;
  readonly cancelled?: true;
  readonly rate?: string | null;
  readonly priority?: number;
}

export function addPause(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('pause')
    .description('stop sending a campaign; what is in flight is finished');
  addSteering(command, setExitCode, { paused: true });
}

export function addResume(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('resume')
    .description('go on with a campaign that is paused, or that failed for a reason which is mended');
  addSteering(command, setExitCode, { paused: false });
}

export function addCancel(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('cancel')
    .description('end a campaign for good: whoever has no fate yet is cancelled');
  addSteering(command, setExitCode, { cancelled: true });
}

export function addRate(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('rate')
    .description("change a campaign's rate, or its bytes in a time, while it runs")
    .argument('<campaign>', 'its name')
    .argument('<rate>', 'such as 100/s, 6000/m or 2MB/s; none takes the changes back', parseRateWord);
  addDaemonOptions(command).action(async (name: string, rate: string | null, options: DaemonOptions) =>
    setExitCode(await steer(name, { rate }, options)),
  );
}

export function addPriority(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('priority')
    .description("change a campaign's share among those that are sent at one time")
    .argument('<campaign>', 'its name')
    .argument('<number>', '1 to 100: twice as much is twice the share', parsePriority);
  addDaemonOptions(command).action(async (name: string, priority: number, options: DaemonOptions) =>
    setExitCode(await steer(name, { priority }, options)),
  );
}

export function addComplaints(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('complaints')
    .description('tell of complaints that have come in of a campaign; too many pause it, as its file says')
    .argument('<campaign>', 'its name')
    .argument('<number>', 'how many more', parseCount);
  addDaemonOptions(command).action(async (name: string, count: number, options: DaemonOptions) => {
    const path = `/v1/campaigns/${encodeURIComponent(name)}/complaints`;
    const answer = await openClient(options).call({ method: 'POST', path, json: { count } });
    setExitCode(say(answers.campaign.parse(answer), options));
  });
}

function addSteering(command: Command, setExitCode: SetExitCode, steering: Steering): void {
  addDaemonOptions(command.argument('<campaign>', 'its name')).action(
    async (name: string, options: DaemonOptions) => setExitCode(await steer(name, steering, options)),
  );
}

async function steer(name: string, steering: Steering, options: DaemonOptions): Promise<ExitCode> {
  const path = `/v1/campaigns/${encodeURIComponent(name)}`;
  const view = answers.campaign.parse(
    await openClient(options).call({ method: 'PATCH', path, json: steering }),
  );
  return say(view, options);
}

function say(view: answers.CampaignView, options: DaemonOptions): ExitCode {
  if (options.json === true) process.stdout.write(`${JSON.stringify({ type: 'campaign', ...view })}\n`);
  else {
    const rate = view.rate === undefined ? '' : `, rate ${view.rate}`;
    const bytes = view.bytes === undefined ? '' : `, bytes ${view.bytes}`;
    process.stderr.write(`${view.name}: ${view.state}${rate}${bytes}, priority ${view.priority}\n`);
  }
  return ExitCode.ok;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= 100_000) return count;
  throw new InvalidArgumentError('Expected a whole number from 1 to 100000.');
}

function parseRateWord(text: string): string | null {
  if (text === 'none') return null;
  if (parseRate(text) === undefined && parseByteRate(text) === undefined)
    throw new InvalidArgumentError('expected a rate such as 100/s or 2MB/s, or none.');
  return text;
}

function parsePriority(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > 100)
    throw new InvalidArgumentError('expected a whole number from 1 to 100.');
  return number;
}
