// One measured run of a sender to a sink of its own, checked message by message: ours, or the script beside it.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mailing } from './mailing.ts';
import { runMeasured, type MeasuredRun } from './measured_run.ts';
import { startSmtpSink, type SmtpSink } from './smtp_sink.ts';

/** Of every sender; nodemailer_pool.ts says it for itself. */
export const connections = 20;

/** Runs `posthaste send` on one worker thread, with a fresh ledger and a results file. */
export async function runSend(mailing: Mailing): Promise<MeasuredRun> {
  const { folder, campaign, list } = mailing;
  const config = join(folder, 'config.yaml');
  const state = join(folder, 'state');
  writeFileSync(config, 'threads: 1\n');
  rmSync(state, { recursive: true, force: true });
  return runChecked(mailing, (sink) => {
    const relay = `smtp://${sink.host}:${sink.port}?maxConnections=${connections}&maxMessages=1000000`;
    const places = ['--config', config, '--state', state, '--results', join(folder, 'results.csv')];
    return runMeasured(
      'src/main.ts',
      ['send', campaign, list, '--relay', relay, ...places, '--json'],
      folder,
    );
  });
}

/** Runs the plain nodemailer script. */
export async function runNodemailer(mailing: Mailing): Promise<MeasuredRun> {
  const { folder, list, text, html } = mailing;
  return runChecked(mailing, (sink) =>
    runMeasured('bench/nodemailer_pool.ts', [list, text, html, sink.host, String(sink.port)], folder),
  );
}

/** Throws unless the list's rows, what the sender says it sent and what the sink took are the same number. */
async function runChecked(
  { folder, recipients }: Mailing,
  send: (sink: SmtpSink) => Promise<MeasuredRun>,
): Promise<MeasuredRun> {
  const sink = await startSmtpSink(folder);
  const run = await send(sink);
  await sink.stop(recipients);
  const { rows, accepted } = run.summary;
  if (rows === recipients && accepted === recipients) return run;
  throw new Error(`of ${recipients} rows, ${rows} were read and ${accepted} accepted`);
}
