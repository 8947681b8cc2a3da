// Quantities as people write them in configuration: "5m", "100/s", "25MiB".

const durationUnitsMs: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const sizeUnitsBytes: Record<string, number> = {
  B: 1,
  kB: 1000,
  KiB: 1024,
  MB: 1_000_000,
  MiB: 1_048_576,
  GB: 1_000_000_000,
  GiB: 1_073_741_824,
};

/** How often something may happen: `count` in every `perMs` milliseconds. */
export interface Rate {
  count: number;
  perMs: number;
}

/** The limits of one subject: a message goes when all of them grant. */
export interface Pace {
  /** Each of another window, the shortest first: that one sets the pace, the others only count. */
  readonly rates: readonly Rate[];
  /** How many may go at once after a silence; absent: the pace is even from the first on. */
  readonly burst?: number | undefined;
  /** Bytes of messages; the shortest window first. */
  readonly bytes?: readonly Rate[] | undefined;
  /** New sessions; the shortest window first. */
  readonly connections?: readonly Rate[] | undefined;
}

/** Parses "250ms", "30s", "5m", "2h", "3d" into milliseconds; undefined where it is not a duration. */
export function parseDurationMs(text: string): number | undefined {
  return parseWithUnit(text, durationUnitsMs);
}

/** Parses "512B", "64KiB", "25MiB", "10MB" into bytes; undefined where it is not a size. */
export function parseSizeBytes(text: string): number | undefined {
  return parseWithUnit(text, sizeUnitsBytes);
}

/** Parses "100/s", "6000/m", "20000/h", "50000/d" into a rate; undefined where it is not a whole positive rate. */
export function parseRate(text: string): Rate | undefined {
  const match = /^(\d+)\/(s|m|h|d)$/.exec(text);
  if (match === null) return undefined;
  const count = Number(match[1]);
  const perMs = durationUnitsMs[match[2] ?? ''];
  return count > 0 && perMs !== undefined ? { count, perMs } : undefined;
}

/** The inverse of `parseRate`: "100/s"; rates with odd windows as "3/1500ms". */
export function formatRate(rate: Rate): string {
  const unit = ['s', 'm', 'h', 'd'].find((name) => durationUnitsMs[name] === rate.perMs);
  return `${rate.count}/${unit ?? `${rate.perMs}ms`}`;
}

/** Parses "10MB/s", "50GB/d" into a rate of whole bytes; undefined where it is not one of at least one byte. */
export function parseByteRate(text: string): Rate | undefined {
  const match = /^([^/]+)\/(s|m|h|d)$/.exec(text);
  const count = Math.round(parseSizeBytes(match?.[1] ?? '') ?? 0);
  const perMs = durationUnitsMs[match?.[2] ?? ''];
  return count > 0 && perMs !== undefined ? { count, perMs } : undefined;
}

/** The inverse of `parseByteRate`, in the largest unit that gives a whole number: "10MB/s", "1500kB/s". */
export function formatByteRate(rate: Rate): string {
  const [unit, bytes] = Object.entries(sizeUnitsBytes)
    .toReversed()
    .find(([, factor]) => rate.count % factor === 0) ?? ['B', 1];
  return formatRate({ ...rate, count: rate.count / bytes }).replace('/', `${unit}/`);
}

function parseWithUnit(text: string, units: Record<string, number>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([A-Za-z]+)$/.exec(text);
  if (match === null) return undefined;
  const factor = Object.hasOwn(units, match[2] ?? '') ? units[match[2] ?? ''] : undefined;
  return factor === undefined ? undefined : Number(match[1]) * factor;
}
