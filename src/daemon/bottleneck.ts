// What limited the speed: one sentence, from where the time went. Pure.

/** Where the time of a run went. Times in ms; thread times are sums over the threads. */
export interface RunTimes {
  readonly wallMs: number;
  readonly threads: number;
  /** Time in which a thread's event loop was not waiting. */
  readonly threadActiveMs: number;
  readonly mainActiveMs: number;
  /** Time in which a session had room and a limit did not grant. */
  readonly permitWaitMs: number;
  /** The limit that held messages up, for people: "relay primary 100/s". */
  readonly limit: string;
  readonly meanTransactionMs: number;
  readonly maxConnections: number;
  readonly cores: number;
  /** Messages per second of the run. */
  readonly perSecond: number;
  /** The shortest round trip to the relay; 0 where none was measured. */
  readonly roundTripMs: number;
  /** What `pipelining: deep` would put on the wire of a session; 0 where it is used already or cannot be. */
  readonly deepInFlight: number;
}

/** Above this share of its time a resource is what limits the run. */
const saturated = 0.8;

/** Names what limited a run, with what would make it faster. */
export function nameBottleneck(times: RunTimes): string {
  const perThread = times.wallMs * times.threads;
  // One thread that waits for permits most of the time is enough: the limit is shared.
  if (times.permitWaitMs / times.wallMs > 0.5) return `the rate limit (${times.limit})`;
  const threadShare = times.threadActiveMs / perThread;
  const mainShare = times.mainActiveMs / times.wallMs;
  if (threadShare > saturated && threadShare >= mainShare) {
    const advice = times.threads < times.cores ? `; threads: ${times.threads + 1} may help` : '';
    return `this machine's CPU: ${threadWord(times.threads)} busy ${percent(threadShare)} of the time${advice}`;
  }
  if (mainShare > saturated) {
    return `this machine's CPU: the main thread (list and ledger) was busy ${percent(mainShare)} of the time`;
  }
  const deep = adviseDeep(times);
  if (deep !== undefined) return `the relay: ${deep}`;
  const pace = `a transaction took ${times.meanTransactionMs.toFixed(1)} ms over ${times.maxConnections} sessions`;
  return `the relay: ${pace}; more maxConnections may help, if the relay allows them`;
}

/** Below this a round trip is not what is waited for. */
const longRoundTripMs = 5;

/** "round trip 48 ms, CHUNKING offered: `pipelining: deep` could send up to 1,300/s instead of 95/s" */
function adviseDeep({ roundTripMs, deepInFlight, perSecond, maxConnections }: RunTimes): string | undefined {
  if (deepInFlight === 0 || roundTripMs < longRoundTripMs) return undefined;
  // A full window for each session and round trip; the relay's own pace is not known, hence "up to".
  const possible = (maxConnections * deepInFlight * 1000) / roundTripMs;
  const now = Math.round(perSecond).toLocaleString('en-US');
  const then = Number(possible.toPrecision(2)).toLocaleString('en-US');
  return `round trip ${Math.round(roundTripMs)} ms, CHUNKING offered: pipelining: deep could send up to ${then}/s instead of ${now}/s`;
}

function threadWord(threads: number): string {
  return threads === 1 ? 'the sending thread was' : `the ${threads} sending threads were`;
}

function percent(share: number): string {
  return `${Math.round(Math.min(share, 1) * 100)} %`;
}
