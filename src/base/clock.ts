// Time as an argument: the wall clock for dates and due times, a monotonic one for durations.

export interface Clock {
  /** Milliseconds since the Unix epoch; may jump. For due times and dates, never for durations. */
  now(): number;
  /** Milliseconds from an arbitrary origin that is the same for all threads of a process; never goes back. */
  monotonic(): number;
}

/** The system's clock. Its monotonic origin is the machine's, so threads can compare readings. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => Number(process.hrtime.bigint()) / 1e6,
};
