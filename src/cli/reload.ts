// posthaste reload: lets the daemon read its configuration again, or only says what that would change.
import type { Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import * as answers from '../control/answers.ts';
import type { SetExitCode } from './command_line.ts';
import { addDaemonOptions, openClient, type DaemonOptions } from './daemon_client.ts';

interface ReloadOptions extends DaemonOptions {
  readonly dryRun?: boolean;
}

export function addReload(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('reload')
    .description('let the daemon read its configuration again; a bad file changes nothing')
    .option('--dry-run', 'only say whether it is good, and what it would change');
  addDaemonOptions(command).action(async (options: ReloadOptions) => setExitCode(await reload(options)));
}

async function reload({ dryRun, ...options }: ReloadOptions): Promise<ExitCode> {
  const report = answers.config.parse(
    await openClient(options).call(
      dryRun === true
        ? { method: 'GET', path: '/v1/config/check' }
        : { method: 'POST', path: '/v1/config/reload' },
    ),
  );
  if (options.json === true) process.stdout.write(`${JSON.stringify({ type: 'config', ...report })}\n`);
  else {
    for (const problem of report.problems) process.stderr.write(`${problem}\n`);
    const { ok, applied, needsRestart } = report;
    const changes = applied.length === 0 ? 'nothing has changed' : applied.join(', ');
    process.stderr.write(
      ok ? `${dryRun === true ? 'would change' : 'changed'}: ${changes}\n` : 'nothing was changed\n',
    );
    if (needsRestart.length > 0) process.stderr.write(`only a restart takes: ${needsRestart.join(', ')}\n`);
  }
  return report.ok ? ExitCode.ok : ExitCode.config;
}
