// The sampler: asks for the state that is read at each scrape, one question at a time and never for long.

/** Resolves with what `sample` gives. Rejects when it fails, or takes longer than `timeoutMs`. */
type Sampler<T> = () => Promise<T>;

/** While an answer is outstanding, everybody who asks waits for that one: a slow ledger is not asked twice at once. */
export function createSampler<T>(sample: () => Promise<T>, timeoutMs: number): Sampler<T> {
  let running: Promise<T> | undefined;

  async function runOnce(): Promise<T> {
    try {
      return await sample();
    } finally {
      running = undefined;
    }
  }

  return () => {
    running ??= runOnce();
    return withTimeout(running, timeoutMs);
  };
}

async function withTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  const { promise: timeout, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
