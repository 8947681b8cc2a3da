// posthaste relays: how the relays of the daemon are; pause one, or let it go on.
import { Option, type Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import * as answers from '../control/answers.ts';
import type { SetExitCode } from './command_line.ts';
import { addDaemonOptions, openClient, type DaemonOptions } from './daemon_client.ts';
import { formatTable } from './table.ts';

interface RelaysOptions extends DaemonOptions {
  readonly pause?: string;
  readonly resume?: string;
}

export function addRelays(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('relays')
    .description('show how the relays of the daemon are; pause one, or let it go on')
    .option('--pause <relay>', 'nothing goes by it until it is resumed')
    .addOption(new Option('--resume <relay>', 'use it again, also where it was given up').conflicts('pause'));
  addDaemonOptions(command).action(async (options: RelaysOptions) => setExitCode(await relays(options)));
}

async function relays(options: RelaysOptions): Promise<ExitCode> {
  const client = openClient(options);
  const name = options.pause ?? options.resume;
  if (name !== undefined) {
    const path = `/v1/relays/${encodeURIComponent(name)}`;
    await client.call({ method: 'PATCH', path, json: { paused: options.pause !== undefined } });
  }
  const { relays: views } = answers.relays.parse(await client.call({ method: 'GET', path: '/v1/relays' }));
  if (options.json === true) process.stdout.write(`${JSON.stringify({ type: 'relays', relays: views })}\n`);
  else process.stdout.write(tableOf(views));
  return ExitCode.ok;
}

function tableOf(views: readonly answers.RelayView[]): string {
  return formatTable(
    ['relay', 'state', 'sessions', 'allowed', 'rate', 'until', 'reason'],
    views.map((one) => [
      one.name,
      one.state,
      `${one.sessionsBusy}/${one.sessionsOpen}`,
      `${one.sessionsAllowed}/${one.maxConnections}`,
      `${Math.round(one.rateFactor * 100)} %`,
      one.blockedUntil ?? '-',
      one.reason ?? '-',
    ]),
    new Set([2, 3, 4]),
  );
}
