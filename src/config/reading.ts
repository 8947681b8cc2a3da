// A campaign file on its way to a campaign: what its readers share.
import { readFromFolder, type ReadFile } from './campaign_folder.ts';
import type { WrittenCampaign } from './campaign_schema.ts';
import { formatPath, type Path, type Problem } from './problem.ts';
import type { YamlFile } from './yaml_file.ts';

export interface Reading {
  readonly path: string;
  readonly file: YamlFile;
  readonly written: WrittenCampaign;
  readonly problems: Problem[];
  /** Where `{ env: NAME }` of a secret is looked up; elsewhere: the secrets are another process's to read. */
  readonly env: NodeJS.ProcessEnv | 'elsewhere';
  /** Every file that was read, as the campaign names it: relative to its folder. */
  readonly files: Set<string>;
}

/** Reads a file that the campaign names, from its folder and from nowhere else. */
export function readNamed(reading: Reading, path: string, mostBytes: number): ReadFile {
  reading.files.add(path);
  return readFromFolder(reading.path, path, mostBytes);
}

/** `what` is a predicate; the key's path is its subject. */
export function tell(reading: Reading, path: Path, problem: Omit<Problem, 'place'>): void {
  const place = reading.file.place(path, 'value');
  reading.problems.push({ ...problem, place, what: `${formatPath(path)} ${problem.what}` });
}
