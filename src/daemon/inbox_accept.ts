// Taking an entry of the inbox over: into a submission, and that accepted as one that came through the API.
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ExitCode, PosthasteError } from '../base/error.ts';
import { loadCampaign } from '../config/load_campaign.ts';
import type { Daemon } from './daemon.ts';
import type { InboxEntry } from './inbox_entry.ts';

export async function acceptEntry(daemon: Daemon, entry: InboxEntry, directory: string): Promise<void> {
  const submission = daemon.store.begin();
  try {
    const as =
      entry.kind === 'folder'
        ? await copyFolder(daemon, submission, join(directory, entry.name))
        : await copyFile(daemon, submission, directory, entry);
    await daemon.accept(submission, { as });
  } catch (error) {
    daemon.store.abandon(submission);
    throw error;
  }
}

/** A folder holds campaign.yaml, or one campaign file of any name, and all that it names. Returns the campaign's name. */
async function copyFolder(daemon: Daemon, submission: string, folder: string): Promise<string> {
  const name = findCampaignFile(folder);
  const path = join(folder, name);
  const { campaign, list } = loadCampaign(path);
  await daemon.store.copyFolder(submission, folder, [path, ...(list.file === undefined ? [] : [list.file])]);
  await daemon.store.copyInto(submission, path, 'plan/campaign.yaml');
  const listPath = list.file ?? findList(folder);
  if (listPath !== undefined)
    await daemon.store.copyInto(submission, listPath, `lists/list${endingOf(listPath)}`);
  return campaign.name;
}

/** NAME.yaml: with the files that it names, and the list that it names or that lies beside it. */
async function copyFile(
  daemon: Daemon,
  submission: string,
  directory: string,
  entry: InboxEntry,
): Promise<string> {
  const path = join(directory, entry.name);
  const file = loadCampaign(path);
  await daemon.store.copyInto(submission, path, 'plan/campaign.yaml');
  for (const name of file.files)
    await daemon.store.copyInto(submission, resolve(directory, name), join('plan', name));
  const [, beside] = entry.names;
  const list = file.list.file ?? (beside === undefined ? undefined : join(directory, beside));
  if (list !== undefined) await daemon.store.copyInto(submission, list, `lists/list${endingOf(list)}`);
  return file.campaign.name;
}

function findCampaignFile(folder: string): string {
  const names = readdirSync(folder).filter((name) => /\.ya?ml$/i.test(name));
  const [only] = names;
  if (names.includes('campaign.yaml')) return 'campaign.yaml';
  if (only !== undefined && names.length === 1) return only;
  throw new PosthasteError({
    code: 'ERR_INBOX_ENTRY',
    message: `the folder ${folder} holds ${names.length === 0 ? 'no campaign file' : 'several campaign files'}`,
    hint: 'put one campaign.yaml into it, with all that it names',
    where: folder,
    exitCode: ExitCode.dataError,
  });
}

/** Where the campaign names none, the one file that looks like a list. */
function findList(folder: string): string | undefined {
  const lists = readdirSync(folder).filter((name) =>
    /\.(?:csv|tsv|ndjson|jsonl)(?:\.(?:gz|zst))?$/i.test(name),
  );
  const [only] = lists;
  return only === undefined || lists.length > 1 ? undefined : join(folder, only);
}

function endingOf(path: string): string {
  return /(\.[a-z0-9]+)*$/i.exec(path)?.[0] ?? '';
}
