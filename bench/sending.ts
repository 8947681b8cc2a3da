// One measured run of a sender to a receiver, checked message by message: ours, or the script beside it.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildProgram } from './build.ts';
import type { Mailing } from './mailing.ts';
import { runMeasured, type MeasuredRun } from './measured_run.ts';
import type { Receiver } from './receiver.ts';
import { startSmtpSink } from './smtp_sink.ts';

/** Of every sender, where nothing else is said. */
export const connections = 20;

/** How a run is made, where it is not 20 connections to an smtp-sink. */
export interface Way {
  /** Opens the receiver of one run; `folder` takes its files. */
  readonly open?: ((folder: string) => Promise<Receiver>) | undefined;
  readonly connections?: number | undefined;
  /** Further parameters of our relay URL; nodemailer's pool has nothing like them. */
  readonly relay?: Readonly<Record<string, string>> | undefined;
  /** False leaves the results file away; true where absent. */
  readonly results?: boolean | undefined;
  /** URL of a module that our program loads first, in every thread. */
  readonly preload?: string | undefined;
}

/** Runs `posthaste send` on one worker thread, with a fresh ledger and a results file. */
export async function runSend(mailing: Mailing, way: Way = {}): Promise<MeasuredRun> {
  const { folder, campaign, list } = mailing;
  const config = join(folder, 'config.yaml');
  const state = join(folder, 'state');
  writeFileSync(config, 'threads: 1\n');
  rmSync(state, { recursive: true, force: true });
  const program = buildProgram();
  return runChecked(mailing, way, (receiver) => {
    const places = ['--config', config, '--state', state];
    if (way.results !== false) places.push('--results', join(folder, 'results.csv'));
    const relay = formatRelayUrl(receiver, way);
    const args = ['send', campaign, list, '--relay', relay, ...places, '--json'];
    return runMeasured(program, args, folder, way.preload);
  });
}

function formatRelayUrl({ host, port, caFile }: Receiver, way: Way): string {
  const parameters = new URLSearchParams({
    maxConnections: String(way.connections ?? connections),
    maxMessages: '1000000',
    ...(caFile === undefined ? {} : { ca: caFile }),
    ...way.relay,
  });
  return `${caFile === undefined ? 'smtp' : 'smtp+starttls'}://${host}:${port}?${parameters.toString()}`;
}

/** Runs the plain nodemailer script. */
export async function runNodemailer(mailing: Mailing, way: Way = {}): Promise<MeasuredRun> {
  const { folder, list, text, html } = mailing;
  return runChecked(mailing, way, ({ host, port, caFile }) => {
    const options = ['--connections', String(way.connections ?? connections)];
    if (caFile !== undefined) options.push('--ca', caFile);
    return runMeasured(
      'bench/nodemailer_pool.ts',
      [list, text, html, host, String(port), ...options],
      folder,
    );
  });
}

/** Throws unless the list's rows, what the sender says it sent and what the receiver took are the same number. */
async function runChecked(
  { folder, recipients }: Mailing,
  { open = startSmtpSink }: Way,
  send: (receiver: Receiver) => Promise<MeasuredRun>,
): Promise<MeasuredRun> {
  const receiver = await open(folder);
  const run = await send(receiver);
  await receiver.stop(recipients);
  const { rows, accepted } = run.summary;
  if (rows === recipients && accepted === recipients) return run;
  throw new Error(`of ${recipients} rows, ${rows} were read and ${accepted} accepted`);
}
