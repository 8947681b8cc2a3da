// What an entry of the inbox is, as one look at the folder shows. Pure.
import { basename, extname, join } from 'node:path';

/** A name in the folder. */
export interface InboxName {
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'other';
  readonly sizeBytes: number;
  /** In ms since the epoch. */
  readonly changedAt: number;
}

/** A campaign that was dropped: a folder, or a file with what lies beside it. */
export interface InboxEntry {
  readonly name: string;
  readonly kind: 'folder' | 'file';
  /** What of the folder belongs to it, all to be moved with it. */
  readonly names: readonly string[];
  readonly changedAt: number;
}

/** Names of what is still being written, of what is none of ours, and of our own folders. */
const ignored = /^\.|\.(?:tmp|part|partial|crdownload|swp)$|~$|^(?:done|rejected|lost\+found)$/i;
const listEnding = /\.(?:csv|tsv|txt|ndjson|jsonl)(?:\.(?:gz|zst))?$/i;
const campaignEnding = /\.ya?ml$/i;

/** Oldest first. Links, pipes and sockets are no entries. */
export function findEntries(names: readonly InboxName[]): InboxEntry[] {
  const visible = names.filter(({ name, kind }) => kind !== 'other' && !ignored.test(name));
  const entries = visible.flatMap((one): InboxEntry[] => {
    if (one.kind === 'folder') return [{ ...one, kind: 'folder', names: [one.name] }];
    if (!campaignEnding.test(one.name)) return [];
    const beside = visible.filter((other) => other.kind === 'file' && isListOf(other.name, one.name));
    const changedAt = Math.max(one.changedAt, ...beside.map((other) => other.changedAt));
    return [
      { name: one.name, kind: 'file', names: [one.name, ...beside.map(({ name }) => name)], changedAt },
    ];
  });
  return entries.sort((a, b) => a.changedAt - b.changedAt || (a.name < b.name ? -1 : 1));
}

/** NAME.yaml has NAME.csv and its like. */
function isListOf(name: string, campaign: string): boolean {
  return listEnding.test(name) && name.replace(listEnding, '') === campaign.replace(campaignEnding, '');
}

/** Where a moved name goes: nothing there is overwritten. `at` in ms since the epoch. */
export function movedName(
  folder: string,
  name: string,
  at: number,
  isTaken: (path: string) => boolean,
): string {
  const stamp = new Date(at).toISOString().replaceAll(/[:.]/g, '-');
  const ending = extname(name);
  for (let number = 0; ; number += 1) {
    const suffix = number === 0 ? stamp : `${stamp}-${number}`;
    const path = join(folder, `${basename(name, ending)}.${suffix}${ending}`);
    if (!isTaken(path)) return path;
  }
}
