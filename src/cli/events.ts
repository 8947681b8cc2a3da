// posthaste events: what the daemon tells, one JSON object a line.
import { InvalidArgumentError, type Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import * as answers from '../control/answers.ts';
import type { SetExitCode } from './command_line.ts';
import { addDaemonOptions, openClient, type DaemonOptions } from './daemon_client.ts';

interface EventsOptions extends DaemonOptions {
  readonly since?: number;
  readonly campaign?: string;
  readonly follow?: boolean;
}

export function addEvents(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('events')
    .description(
      "print the daemon's events, one JSON object a line; all that are kept, unless --since says from where",
    )
    .option('--since <id>', 'events with a higher id', parseId)
    .option('--campaign <name>', 'of this campaign alone')
    .option('--follow', 'go on as they come, until interrupted');
  addDaemonOptions(command).action(async (options: EventsOptions) => setExitCode(await events(options)));
}

async function events({ since = 0, campaign, follow, ...options }: EventsOptions): Promise<ExitCode> {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const query = new URLSearchParams({
    since: String(since),
    ...(campaign === undefined ? {} : { campaign }),
  });
  const path = `/v1/events?${query.toString()}${follow === true ? '' : '&follow=false'}`;
  try {
    let text = '';
    for await (const chunk of openClient(options).stream({ method: 'GET', path, signal: stop.signal })) {
      text += Buffer.from(chunk).toString('utf8');
      text = printWhole(text);
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
  return ExitCode.ok;
}

/** Prints the data of whole events; returns what is left. */
function printWhole(text: string): string {
  const parts = text.split('\n\n');
  const rest = parts.pop() ?? '';
  for (const part of parts) {
    const data = part
      .split('\n')
      .find((line) => line.startsWith('data: '))
      ?.slice('data: '.length);
    if (data !== undefined)
      process.stdout.write(`${JSON.stringify(answers.event.parse(JSON.parse(data)))}\n`);
  }
  return rest;
}

function parseId(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('expected the id of an event.');
  return Number(text);
}
