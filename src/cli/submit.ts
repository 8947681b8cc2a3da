// posthaste submit: hands a campaign and its list to the daemon.
import { createReadStream } from 'node:fs';
import { basename, join } from 'node:path';
import { Option, type Command } from 'commander';
import { ExitCode, PosthasteError } from '../base/error.ts';
import { loadCampaign, type CampaignFile } from '../config/load_campaign.ts';
import type { ControlClient } from '../control/client.ts';
import { openList } from '../daemon/open_list.ts';
import * as answers from '../control/answers.ts';
import { parseCampaignName } from './campaign_name.ts';
import type { SetExitCode } from './command_line.ts';
import { addDaemonOptions, openClient, type DaemonOptions } from './daemon_client.ts';
import { count } from './print.ts';
import { parseRows } from './send.ts';

interface SubmitOptions extends DaemonOptions {
  readonly as?: string;
  readonly partial?: boolean;
  readonly expectRows?: number;
}

export function addSubmit(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('submit')
    .description(
      'hand a campaign and its list to the daemon; when it says accepted, all of it is on its disk',
    )
    .argument('<campaign>', 'the campaign file (YAML)')
    .argument('[list]', 'the list: CSV or NDJSON, plain, gzip or zstd; - is standard input')
    .option('--as <name>', "the campaign's name, in place of the file's", parseCampaignName)
    .option('--partial', 'take a list even if it seems to be cut off')
    .addOption(
      new Option('--expect-rows <number>', 'refuse a list with fewer rows, as cut off')
        .argParser(parseRows)
        .conflicts('partial'),
    );
  addDaemonOptions(command).action(async (path: string, list: string | undefined, options: SubmitOptions) =>
    setExitCode(await submit(path, list, options)),
  );
}

async function submit(path: string, listPath: string | undefined, options: SubmitOptions): Promise<ExitCode> {
  // What is wrong is told here, with places in the user's own files; the secrets are the daemon's.
  const file = loadCampaign(path, 'elsewhere', options.as);
  if ((file.campaign.rowAttachments ?? []).length > 0) throw hasRowFiles(path);
  const client = openClient(options);
  const { submission } = answers.begun.parse(await client.call({ method: 'POST', path: '/v1/submissions' }));
  const at = `/v1/submissions/${submission}`;
  try {
    await putAll(client, at, path, file, listPath);
    const { as = file.campaign.name, partial, expectRows } = options;
    const accepted = answers.campaign.parse(
      await client.call({ method: 'POST', path: `${at}/commit`, json: { as, partial, expectRows } }),
    );
    if (options.json === true) process.stdout.write(`${JSON.stringify({ type: 'accepted', ...accepted })}\n`);
    const rows = accepted.rows === 0 ? '' : `, with ${count(accepted.rows)} rows so far`;
    process.stderr.write(`${accepted.name}: accepted${rows}\n`);
    return ExitCode.ok;
  } catch (error) {
    // What is not committed ends with the daemon; it need not wait for that.
    await client.call({ method: 'DELETE', path: at }).catch(() => {});
    throw error;
  }
}

async function putAll(
  client: ControlClient,
  at: string,
  path: string,
  file: CampaignFile,
  listPath: string | undefined,
): Promise<void> {
  await putFile(client, `${at}/files/campaign.yaml`, path);
  for (const name of file.files)
    await putFile(client, `${at}/files/${encodePath(name)}`, join(file.directory, name));
  const list = listPath ?? file.list.file;
  if (list === undefined) return;
  const { body, fileName } = await openList(list, file.list.format);
  await client.call({ method: 'PUT', path: `${at}/list/${encodeURIComponent(basename(fileName))}`, body });
}

async function putFile(client: ControlClient, to: string, path: string): Promise<void> {
  await client.call({ method: 'PUT', path: to, body: createReadStream(path) });
}

function encodePath(path: string): string {
  return path
    .split(/[\\/]/)
    .filter((segment) => segment !== '.')
    .map((segment) => encodeURIComponent(segment))
    .join('/');
}

function hasRowFiles(path: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_SUBMIT_ROW_FILES',
    message: 'the campaign attaches files that a column names, and those are not handed over',
    hint: 'drop the campaign’s folder with all of them into the inbox of the daemon instead',
    where: path,
    exitCode: ExitCode.dataError,
  });
}
