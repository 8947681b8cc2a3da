// A warm-up as it is written becomes a plan.
import type * as z from 'zod';
import type { warmUpSchema } from './warm_up_schema.ts';

export interface WarmUp {
  /** The ms since the epoch of its midnight in UTC. */
  readonly firstDay: number;
  readonly zone: string;
  readonly steps: readonly { readonly day: number; readonly volume: number }[];
  /** The day on which there is no limit any more. */
  readonly endDay: number;
}

export function readWarmUp(written: z.output<typeof warmUpSchema> | undefined): { readonly warmUp?: WarmUp } {
  if (written === undefined) return {};
  const { start: firstDay, timezone: zone, volumes } = written;
  const steps = volumes.map((volume, index) => ({ day: index + 1, volume }));
  return { warmUp: { firstDay, zone, steps, endDay: volumes.length + 1 } };
}
