// A histogram that takes whole bucket counts, which prom-client's cannot: threads count, this one adds up.
import { invariant } from '../base/invariant.ts';

export interface BucketHistogram {
  /** Adds counts of one series: one for each bound, not cumulative, and a last one for everything above. */
  add(labelValue: string, counts: readonly number[], sum: number): void;
  /** Puts totals in place of what a series had. */
  set(labelValue: string, counts: readonly number[], sum: number): void;
  /** In the text format of Prometheus, ending in a newline. */
  render(): string;
}

interface BucketHistogramOptions {
  readonly name: string;
  readonly help: string;
  /** The one label. */
  readonly label: string;
  /** Upper bounds, inclusive, ascending. */
  readonly bounds: readonly number[];
}

interface Series {
  readonly counts: number[];
  sum: number;
}

export function createBucketHistogram(options: BucketHistogramOptions): BucketHistogram {
  const series = new Map<string, Series>();
  return {
    add(labelValue, counts, sum) {
      invariant(
        counts.length === options.bounds.length + 1,
        `${options.name} got ${counts.length} bucket counts`,
      );
      const known = series.get(labelValue);
      if (known === undefined) {
        series.set(labelValue, { counts: [...counts], sum });
        return;
      }
      for (const [bucket, count] of counts.entries())
        known.counts[bucket] = (known.counts[bucket] ?? 0) + count;
      known.sum += sum;
    },
    set(labelValue, counts, sum) {
      series.set(labelValue, { counts: [...counts], sum });
    },
    render() {
      const lines = [`# HELP ${options.name} ${options.help}`, `# TYPE ${options.name} histogram`];
      for (const [labelValue, one] of series) lines.push(...renderSeries(options, labelValue, one));
      return `${lines.join('\n')}\n`;
    },
  };
}

/** Buckets in the text format are cumulative, and the last one is +Inf. */
function renderSeries(
  { name, label, bounds }: BucketHistogramOptions,
  labelValue: string,
  one: Series,
): string[] {
  const labels = `${label}="${escapeLabelValue(labelValue)}"`;
  let total = 0;
  const lines = one.counts.map((count, bucket) => {
    total += count;
    return `${name}_bucket{${labels},le="${bounds[bucket] ?? '+Inf'}"} ${total}`;
  });
  return [...lines, `${name}_sum{${labels}} ${one.sum}`, `${name}_count{${labels}} ${total}`];
}

function escapeLabelValue(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"');
}
