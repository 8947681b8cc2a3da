// Taking an entry of the inbox over: into a submission, and that accepted as one that came through the API.
import { dirname, join, relative, resolve } from 'node:path';
import { ExitCode, PosthasteError } from '../base/error.ts';
import { resolveInFolder } from '../config/campaign_folder.ts';
import { loadCampaign } from '../config/load_campaign.ts';
import type { CampaignStore } from './campaign_store.ts';
import { listNames } from './copied_files.ts';
import type { InboxEntry } from './inbox_entry.ts';

/** What it needs of the daemon. */
export interface Acceptor {
  readonly store: CampaignStore;
  readonly accept: (submission: string, terms: { readonly as: string }) => Promise<unknown>;
}

/** Of what is in the entry only regular files are opened. Throws ERR_INBOX_ENTRY (65), and what loading, copying and accepting throw. */
export async function acceptEntry(daemon: Acceptor, entry: InboxEntry, directory: string): Promise<void> {
  const { store } = daemon;
  const submission = store.begin();
  try {
    await daemon.accept(submission, { as: await copyEntry(store, submission, entry, resolve(directory)) });
  } catch (error) {
    store.abandon(submission);
    throw error;
  }
}

/**
 * The campaign, the files that it names, and the list that it names or that lies with it; of a folder, all else that is in it.
 * Returns the campaign's name.
 */
async function copyEntry(
  store: CampaignStore,
  submission: string,
  entry: InboxEntry,
  directory: string,
): Promise<string> {
  const { path, list: besides } = findParts(entry, directory);
  const folder = dirname(path);
  const { campaign, list: named, files } = loadCampaign(path, process.env, undefined, 'plainFile');
  await store.copyInto(submission, path, 'plan/campaign.yaml');
  const copied = [path];
  for (const name of files) {
    const from = resolveInFolder(path, name);
    // Outside by its name and inside by a link: the copy does not have it, and who accepts it says so.
    if (from === undefined) continue;
    await store.copyInto(submission, from, join('plan', relative(folder, from)));
    copied.push(from);
  }
  const list = named.file ?? besides;
  if (list !== undefined) await store.copyInto(submission, list, `lists/list${endingOf(list)}`);
  if (entry.kind === 'folder')
    await store.copyFolder(submission, folder, list === undefined ? copied : [...copied, list]);
  return campaign.name;
}

/** A folder holds campaign.yaml, or one campaign file of any name; a file is one. */
function findParts(entry: InboxEntry, directory: string): { path: string; list: string | undefined } {
  const [, beside] = entry.names;
  if (entry.kind === 'file')
    return {
      path: join(directory, entry.name),
      list: beside === undefined ? undefined : join(directory, beside),
    };
  const folder = join(directory, entry.name);
  const names = listNames(folder);
  const list = findList(names);
  return {
    path: join(folder, findCampaignFile(folder, names)),
    list: list === undefined ? undefined : join(folder, list),
  };
}

/** By name alone: where the one that is meant is a link, it must not be another. */
function findCampaignFile(folder: string, names: readonly string[]): string {
  const found = names.filter((name) => /\.ya?ml$/i.test(name));
  const [only] = found;
  if (found.includes('campaign.yaml')) return 'campaign.yaml';
  if (only !== undefined && found.length === 1) return only;
  throw new PosthasteError({
    code: 'ERR_INBOX_ENTRY',
    message: `the folder ${folder} holds ${found.length === 0 ? 'no campaign file' : 'several campaign files'}`,
    hint: 'put one campaign.yaml into it, with all that it names',
    where: folder,
    exitCode: ExitCode.dataError,
  });
}

/** Where the campaign names none, the one file that looks like a list. By name alone, too. */
function findList(names: readonly string[]): string | undefined {
  const lists = names.filter((name) => /\.(?:csv|tsv|ndjson|jsonl)(?:\.(?:gz|zst))?$/i.test(name));
  return lists.length > 1 ? undefined : lists[0];
}

function endingOf(path: string): string {
  return /(\.[a-z0-9]+)*$/i.exec(path)?.[0] ?? '';
}
