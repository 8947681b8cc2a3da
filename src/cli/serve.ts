// posthaste serve: the daemon.
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import { loadConfig } from '../config/load_config.ts';
import { openLog } from '../daemon/log.ts';
import { chooseStyle, createAddressHider } from '../daemon/log_style.ts';
import { Service } from '../daemon/serve.ts';
import type { SetExitCode } from './command_line.ts';
import { configPlaces } from './send.ts';
import { version } from './version.ts';

interface ServeFlags {
  readonly config?: string;
  readonly state?: string;
  readonly relay?: string;
  readonly metrics?: string;
}

export function addServe(program: Command, setExitCode: SetExitCode): void {
  program
    .command('serve')
    .description(
      'run the daemon: campaigns come by submit, by the inbox folder or by the API, and are steered while it runs',
    )
    .option('--config <file>', `the configuration file (else ${configPlaces.join(' or ')})`)
    .option('--state <dir>', 'where the ledger is kept')
    .option(
      '--relay <url>',
      'smtp://, smtp+starttls:// or smtps://user:password@host:port (else $POSTHASTE_RELAY)',
    )
    .option('--metrics <host:port>', 'serve /metrics, /healthz and /readyz there')
    .action(async (flags: ServeFlags) => setExitCode(await serve(flags)));
}

async function serve({ config: path, state, relay, metrics }: ServeFlags): Promise<ExitCode> {
  const load = () =>
    loadConfig(path ?? configPlaces.find(existsSync), process.env, {
      state,
      metrics,
      relay: relay ?? process.env['POSTHASTE_RELAY'],
    });
  const config = load();
  const hide = config.showsAddresses ? undefined : createAddressHider();
  const style = chooseStyle(process.stderr.isTTY, process.env['JOURNAL_STREAM'], process.stderr.fd);
  const log = openLog({ level: config.logLevel, style, hide }, process.stderr);
  for (const warning of config.warnings) log.warn(warning);
  const service = new Service({ config, load, log, hide, version: version() });
  const stopListening = followSignals(service);
  try {
    await service.start();
    await service.over();
    log.info('stopped');
    return ExitCode.ok;
  } finally {
    stopListening();
  }
}

/** The first SIGTERM or SIGINT drains, the second one stops at once; SIGHUP reloads. Returns what ends the listening. */
function followSignals(service: Service): () => void {
  let seen = 0;
  const onStop = (): void => {
    seen += 1;
    service.stop(seen === 1 ? 'drain' : 'now');
  };
  const onReload = (): void => void service.reload();
  process.on('SIGINT', onStop).on('SIGTERM', onStop).on('SIGHUP', onReload);
  return () => {
    process.off('SIGINT', onStop).off('SIGTERM', onStop).off('SIGHUP', onReload);
  };
}
