// Warm-up: how much a relay or a From domain may send on each of its first days.
import { instantOf, offsetAt } from '../base/zone.ts';

export interface WarmUpPlan {
  /** The first day's date, in the zone: the ms since the epoch of its midnight in UTC. */
  readonly firstDay: number;
  readonly zone: string;
  /** From day `day` (1 is the first) until the next step; in ascending order, beginning with day 1. */
  readonly steps: readonly WarmUpStep[];
  /** The day on which there is no limit any more. */
  readonly endDay: number;
}

export interface WarmUpStep {
  readonly day: number;
  readonly volume: number;
}

export interface WarmUpToday {
  /** 1 is the first day; 0 or less before it. */
  readonly day: number;
  /** Messages of this day; 0 before the first, Infinity after the plan. */
  readonly volume: number;
  /** When the next day begins; days of a zone have 23 to 25 hours. */
  readonly untilAt: number;
}

const dayMs = 86_400_000;

/** What a plan says of the day that it is in its zone. `now` in ms since the epoch. */
export function warmUpToday(plan: WarmUpPlan, now: number): WarmUpToday {
  const { zone, firstDay, steps, endDay } = plan;
  const today = Math.floor((now + offsetAt(zone, now)) / dayMs) * dayMs;
  const day = Math.round((today - firstDay) / dayMs) + 1;
  const volume = day >= endDay ? Infinity : (steps.findLast((step) => step.day <= day)?.volume ?? 0);
  return { day, volume, untilAt: instantOf(zone, today + dayMs) };
}

/** How many messages may still go today, when so many went since the day began. */
export function leftToday(plan: WarmUpPlan, now: number, sentToday: number): number {
  return Math.max(0, warmUpToday(plan, now).volume - sentToday);
}
