// The store of the daemon: campaigns as they were submitted, on disk, until they are done with.
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { ExitCode, messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';
import { listFiles, readCopied } from './copied_files.ts';
import { replaceCampaign, settleReplaced } from './replace_campaign.ts';
import { syncFolder } from './sync_folder.ts';
import { Uploads } from './uploads.ts';

/*
 *   STATE/incoming/ID/            a submission under construction; gone at the next start
 *     plan/campaign.yaml …        the campaign and all that it names
 *     lists/NAME.csv
 *   STATE/campaigns/NAME/         accepted: the same folder, renamed
 *     plan/…
 *     lists/000001-….csv          lists that are not stored in the ledger to their end, in the order in which they came
 *   STATE/replaced/NAME/          one that was accepted, while another takes its place
 *
 * What is synced and renamed is accepted; nothing else is. A list goes when the ledger has all of it.
 */

/** A list that waits to be taken in. */
export interface WaitingList {
  readonly path: string;
  readonly partial: boolean;
  readonly expectedRows: number | undefined;
}

/** How a list is to be taken; kept in its file's name, which is renamed with it. */
type ListTerms = Pick<WaitingList, 'partial' | 'expectedRows'>;

export class CampaignStore {
  readonly #incoming: string;
  readonly #campaigns: string;
  readonly #replaced: string;
  readonly #uploads = new Uploads();

  /** Makes its folders, ends what was begun, and throws away what was not accepted. */
  constructor(stateDir: string) {
    this.#incoming = join(stateDir, 'incoming');
    this.#campaigns = join(stateDir, 'campaigns');
    this.#replaced = join(stateDir, 'replaced');
    guard(() => {
      rmSync(this.#incoming, { recursive: true, force: true });
      for (const folder of [this.#incoming, this.#campaigns, this.#replaced])
        mkdirSync(folder, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(this.#replaced)) this.#settle(name);
    });
  }

  /** Names of accepted campaigns. */
  names(): string[] {
    return readdirSync(this.#campaigns).sort();
  }

  planOf(name: string): string {
    return join(this.#campaigns, name, 'plan', 'campaign.yaml');
  }

  has(name: string): boolean {
    return existsSync(this.planOf(name));
  }

  begin(): string {
    this.#dropForgotten();
    const id = randomUUID();
    guard(() => {
      mkdirSync(join(this.#incoming, id, 'plan'), { recursive: true, mode: 0o700 });
      mkdirSync(join(this.#incoming, id, 'lists'), { mode: 0o700 });
    });
    return id;
  }

  /** What nobody has committed within a day nobody will. */
  #dropForgotten(): void {
    for (const id of readdirSync(this.#incoming)) {
      const folder = join(this.#incoming, id);
      const stat = statSync(folder, { throwIfNoEntry: false });
      if (stat === undefined || Date.now() - stat.mtimeMs <= forgottenMs) continue;
      rmSync(folder, { recursive: true, force: true });
      this.#uploads.forget(id);
    }
  }

  /** The campaign file of a submission that is whole. Throws ERR_SUBMISSION_UNKNOWN (66), ERR_SUBMISSION_INCOMPLETE (75). */
  planOfSubmission(id: string): string {
    const folder = this.#folderOf(id);
    this.#uploads.check(id);
    return join(folder, 'plan', 'campaign.yaml');
  }

  /** Puts a file, synced; one that is there is replaced. Throws ERR_FILE_NAME (65). */
  async putFile(id: string, path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const target = join(this.#folderOf(id), 'plan', checkPath(path));
    await this.#uploads.during(id, path, async () => {
      await guardAsync(() => mkdir(dirname(target), { recursive: true, mode: 0o700 }));
      await writeSynced(target, body);
    });
  }

  /** Puts the list, synced; there is one. */
  async putList(id: string, fileName: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const folder = join(this.#folderOf(id), 'lists');
    const name = `list-${checkPath(fileName).replaceAll('/', '_').slice(-100)}`;
    await this.#uploads.during(id, 'the list', async () => {
      for (const old of readdirSync(folder)) rmSync(join(folder, old));
      await writeSynced(join(folder, name), body);
    });
  }

  /** Copies a campaign's folder into a submission: regular files alone, no links, and not `except`. Throws as `copyInto`. */
  async copyFolder(id: string, folder: string, except: readonly string[]): Promise<void> {
    for (const from of await listFiles(folder))
      if (!except.includes(from)) await this.copyInto(id, from, join('plan', relative(folder, from)));
  }

  /** Copies a regular file into a submission, under another name, synced. Throws ERR_FILE_READ (66), ERR_STATE_… (74). */
  async copyInto(id: string, from: string, to: string): Promise<void> {
    const target = join(this.#folderOf(id), to);
    await guardAsync(() => mkdir(dirname(target), { recursive: true, mode: 0o700 }));
    await fillSynced(target, readCopied(from));
  }

  /** Where a submission's list is; undefined where it has none. */
  listOfSubmission(id: string): string | undefined {
    const folder = join(this.#folderOf(id), 'lists');
    const [name] = readdirSync(folder);
    return name === undefined ? undefined : join(folder, name);
  }

  /**
   * Accepts a submission under a name. Where there is a campaign of that name its files stay, and the list is added; unless it
   * `replaces` that one, of which nothing may be stored in the ledger: then its lists stay. When it returns, all of it is on disk.
   */
  accept(id: string, name: string, terms: ListTerms, replaces = false): void {
    const folder = this.#folderOf(id);
    // Another upload may have begun since its files were read.
    this.#uploads.check(id);
    guard(() => {
      this.#settle(name);
      this.#numberList(folder, name, terms);
      for (const inner of readdirSync(folder, { recursive: true, withFileTypes: true }))
        if (inner.isDirectory()) syncFolder(join(inner.parentPath, inner.name));
      syncFolder(folder);
      if (this.has(name) && !replaces) this.#addList(folder, name);
      else this.#place(folder, name);
      syncFolder(this.#campaigns);
      syncFolder(this.#incoming);
    });
  }

  abandon(id: string): void {
    guard(() => rmSync(this.#folderOf(id), { recursive: true, force: true }));
    this.#uploads.forget(id);
  }

  /** The list that comes next. */
  nextList(name: string): WaitingList | undefined {
    const folder = join(this.#campaigns, name, 'lists');
    if (!existsSync(folder)) return undefined;
    const [first] = readdirSync(folder)
      .filter((one) => listPattern.test(one))
      .sort();
    if (first === undefined) return undefined;
    const [, , partial, rows] = listPattern.exec(first) ?? [];
    const expectedRows = rows === undefined || rows === '' ? undefined : Number(rows);
    return { path: join(folder, first), partial: partial === 'p', expectedRows };
  }

  /** The ledger has all of it, or it was refused. */
  dropList(list: WaitingList): void {
    // Not synced: a list that is there again after a power cut is known, and nothing of it is sent twice.
    guard(() => rmSync(list.path, { force: true }));
  }

  /** Forgets a campaign: its rows are gone from the ledger. */
  drop(name: string): void {
    guard(() => rmSync(join(this.#campaigns, name), { recursive: true, force: true }));
  }

  #folderOf(id: string): string {
    const folder = join(this.#incoming, id);
    if (/^[0-9a-f-]{36}$/.test(id) && existsSync(folder)) return folder;
    throw new PosthasteError({
      code: 'ERR_SUBMISSION_UNKNOWN',
      message: 'there is no such submission',
      hint: 'begin one with POST /v1/submissions; one that is not committed ends with the daemon',
      exitCode: ExitCode.noInput,
    });
  }

  #numberList(folder: string, name: string, { partial, expectedRows }: ListTerms): void {
    const lists = join(folder, 'lists');
    const [list] = readdirSync(lists);
    if (list === undefined) return;
    const there = join(this.#campaigns, name, 'lists');
    const last = existsSync(there) ? (readdirSync(there).sort().at(-1) ?? '0') : '0';
    const number = String(Number.parseInt(last, 10) + 1).padStart(6, '0');
    const ending = /(\.[a-z0-9]+)*$/i.exec(basename(list))?.[0] ?? '';
    renameSync(
      join(lists, list),
      join(lists, `${number}-${partial ? 'p' : 'w'}${expectedRows ?? ''}-list${ending}`),
    );
  }

  #place(folder: string, name: string): void {
    const target = join(this.#campaigns, name);
    if (this.has(name)) return replaceCampaign(folder, target, join(this.#replaced, name));
    // What a process has left that died while it threw it away.
    rmSync(target, { recursive: true, force: true });
    return renameSync(folder, target);
  }

  #settle(name: string): void {
    settleReplaced(join(this.#campaigns, name), join(this.#replaced, name));
  }

  #addList(folder: string, name: string): void {
    const target = join(this.#campaigns, name, 'lists');
    mkdirSync(target, { recursive: true, mode: 0o700 });
    for (const list of readdirSync(join(folder, 'lists')))
      renameSync(join(folder, 'lists', list), join(target, list));
    syncFolder(target);
    rmSync(folder, { recursive: true });
  }
}

const forgottenMs = 86_400_000;

/** Number, whether it may be cut off, the rows that it must have. */
const listPattern = /^(\d{6})-([pw])(\d*)-list/;

/** A path below the campaign's folder, whatever the client says. Throws ERR_FILE_NAME (65). */
function checkPath(path: string): string {
  const segments = path.split('/');
  const isGood = segments.every((one) => one !== '' && !one.startsWith('.') && one.length <= 200);
  // oxlint-disable-next-line no-control-regex -- they are what it looks for
  if (isGood && segments.length <= 20 && !/[\u0000-\u001f\\]/.test(path)) return path;
  throw new PosthasteError({
    code: 'ERR_FILE_NAME',
    message: `a submission takes no file of this name: ${JSON.stringify(path.slice(0, 200))}`,
    hint: 'give a path below the campaign’s folder, without hidden names, "..", backslashes and control characters',
    exitCode: ExitCode.dataError,
  });
}

async function writeSynced(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
  // Two uploads of one file have each their own, and the later end wins whole.
  const partial = `${path}.${randomUUID()}.part`;
  try {
    await fillSynced(partial, body);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
  guard(() => renameSync(partial, path));
}

/** What `body` throws is thrown as it is. */
async function fillSynced(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await guardAsync(() => open(path, 'w', 0o600));
  try {
    for await (const chunk of body) await guardAsync(() => file.writeFile(chunk));
    await guardAsync(() => file.sync());
  } finally {
    await file.close();
  }
}

function guard<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw explain(error);
  }
}

async function guardAsync<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explain(error);
  }
}

function explain(error: unknown): unknown {
  const code = systemCodeOf(error);
  if (error instanceof PosthasteError || code === undefined) return error;
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return new PosthasteError({
    code: isFull ? 'ERR_STATE_FULL' : 'ERR_STATE_IO',
    message: `the campaign cannot be stored in the state directory: ${messageOf(error)}`,
    hint: isFull ? 'Free some space, and submit it again.' : 'Check the disk and the permissions there.',
    exitCode: ExitCode.ioError,
    cause: error,
  });
}
