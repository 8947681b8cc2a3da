// A histogram that takes whole bucket counts, which prom-client's cannot: threads count, this one adds up.
import { invariant } from '../base/invariant.ts';

export interface BucketHistogram {
  /** Adds counts of one series: one for each bound, not cumulative, and a last one for everything above. */
  add(labelValues: readonly string[], counts: readonly number[], sum: number): void;
  /** Counts so many of one value. */
  observe(labelValues: readonly string[], value: number, times: number): void;
  /** Puts totals in place of what a series had. */
  set(labelValues: readonly string[], counts: readonly number[], sum: number): void;
  /** In the text format of Prometheus, ending in a newline. */
  render(): string;
}

interface BucketHistogramOptions {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds, inclusive, ascending. */
  readonly bounds: readonly number[];
}

interface Series {
  readonly counts: number[];
  sum: number;
}

export function createBucketHistogram(options: BucketHistogramOptions): BucketHistogram {
  const series = new Map<string, Series>();
  const noCounts = Array.from({ length: options.bounds.length + 1 }, () => 0);
  const seriesOf = (labelValues: readonly string[]): Series => {
    const key = renderLabels(options.labels, labelValues);
    const known = series.get(key) ?? { counts: [...noCounts], sum: 0 };
    series.set(key, known);
    return known;
  };
  return {
    add(labelValues, counts, sum) {
      invariant(counts.length === noCounts.length, `${options.name} got ${counts.length} bucket counts`);
      const one = seriesOf(labelValues);
      for (const [bucket, count] of counts.entries()) one.counts[bucket] = (one.counts[bucket] ?? 0) + count;
      one.sum += sum;
    },
    observe(labelValues, value, times) {
      const one = seriesOf(labelValues);
      const found = options.bounds.findIndex((bound) => value <= bound);
      const bucket = found === -1 ? options.bounds.length : found;
      one.counts[bucket] = (one.counts[bucket] ?? 0) + times;
      one.sum += value * times;
    },
    set(labelValues, counts, sum) {
      series.set(renderLabels(options.labels, labelValues), { counts: [...counts], sum });
    },
    render() {
      const lines = [`# HELP ${options.name} ${options.help}`, `# TYPE ${options.name} histogram`];
      for (const [labels, one] of series) lines.push(...renderSeries(options, labels, one));
      return `${lines.join('\n')}\n`;
    },
  };
}

/** `relay="primary",stage="end"` */
function renderLabels(names: readonly string[], values: readonly string[]): string {
  return names.map((name, index) => `${name}="${escapeLabelValue(values[index] ?? '')}"`).join(',');
}

/** Buckets in the text format are cumulative, and the last one is +Inf. */
function renderSeries({ name, bounds }: BucketHistogramOptions, labels: string, one: Series): string[] {
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
