// A campaign file on its way to a campaign: what its readers share.
import type { WrittenCampaign } from './campaign_schema.ts';
import { formatPath, type Path, type Problem } from './problem.ts';
import type { YamlFile } from './yaml_file.ts';

export interface Reading {
  readonly path: string;
  readonly file: YamlFile;
  readonly written: WrittenCampaign;
  readonly problems: Problem[];
  /** Where `{ env: NAME }` of a secret is looked up. */
  readonly env: NodeJS.ProcessEnv;
}

/** `what` is a predicate; the key's path is its subject. */
export function tell(reading: Reading, path: Path, problem: Omit<Problem, 'place'>): void {
  const place = reading.file.place(path, 'value');
  reading.problems.push({ ...problem, place, what: `${formatPath(path)} ${problem.what}` });
}
