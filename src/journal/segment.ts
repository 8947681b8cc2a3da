// Journal segments: the names of a journal's files.

/** One file of one thread of one process. */
export interface SegmentName {
  /** Names the process: no other run, before or after, has the same. */
  readonly run: string;
  /** Counts the threads of a run. */
  readonly writer: number;
  /** Counts the files of a thread. */
  readonly segment: number;
}

const pattern = /^([0-9a-z]+)-(\d+)-(\d+)\.log$/;

/** Names a run by the time of its start, in ms since the epoch, and its process. */
export function nameRun(startedAt: number, pid: number): string {
  return `${startedAt.toString(36)}p${pid.toString(36)}`;
}

export function formatSegmentName({ run, writer, segment }: SegmentName): string {
  return `${run}-${writer}-${segment}.log`;
}

/** Undefined for a file that is not ours. */
export function parseSegmentName(name: string): SegmentName | undefined {
  const [, run, writer, segment] = pattern.exec(name) ?? [];
  return run === undefined ? undefined : { run, writer: Number(writer), segment: Number(segment) };
}
