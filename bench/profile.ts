// Profiles of this process while it works: which functions take the time, and which the memory.
import { Session, type HeapProfiler, type Profiler, type Runtime } from 'node:inspector/promises';
import { basename } from 'node:path';

/** What one function took by itself: microseconds or bytes. */
export interface Share {
  readonly name: string;
  readonly amount: number;
}

const cpuSampleEveryUs = 200;
const heapSampleEveryBytes = 16_384;

/** Microseconds by function, most first; what the runtime does is in brackets. */
export async function profileCpu(work: () => Promise<void>): Promise<Share[]> {
  return withInspector(async (session) => {
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: cpuSampleEveryUs });
    await session.post('Profiler.start');
    await work();
    const { profile } = await session.post('Profiler.stop');
    return sortShares(sumCpu(profile));
  });
}

/** Bytes allocated by function, most first; what was collected meanwhile included. Buffers' own memory is not. */
export async function profileAllocations(work: () => Promise<void>): Promise<Share[]> {
  return withInspector(async (session) => {
    const parameters = {
      samplingInterval: heapSampleEveryBytes,
      // Not in Node's types, but V8 knows them: else only what is still alive is counted.
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    };
    await session.post('HeapProfiler.startSampling', parameters);
    await work();
    const { profile } = await session.post('HeapProfiler.stopSampling');
    return sortShares(sumAllocations(profile));
  });
}

async function withInspector<T>(use: (session: Session) => Promise<T>): Promise<T> {
  const session = new Session();
  session.connect();
  try {
    return await use(session);
  } finally {
    session.disconnect();
  }
}

function sumCpu({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): Map<string, number> {
  const work = nodes.filter(({ callFrame }) => isWork(callFrame));
  const names = new Map(work.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const sums = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id);
    if (name !== undefined) sums.set(name, (sums.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  }
  return sums;
}

function sumAllocations({ head }: HeapProfiler.SamplingHeapProfile): Map<string, number> {
  const sums = new Map<string, number>();
  const waiting = [head];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    const name = nameOf(node.callFrame);
    if (isWork(node.callFrame)) sums.set(name, (sums.get(name) ?? 0) + node.selfSize);
    waiting.push(...node.children);
  }
  return sums;
}

/** Nobody's work but ours: the profiler's own, and waiting. */
function isWork({ url, functionName }: Runtime.CallFrame): boolean {
  return url !== 'node:inspector' && functionName !== '(idle)';
}

/** "receive session.ts:160"; functions of the runtime itself have no place. */
function nameOf({ functionName, url, lineNumber }: Runtime.CallFrame): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  return url === '' ? name : `${name} ${basename(url)}:${lineNumber + 1}`;
}

function sortShares(sums: ReadonlyMap<string, number>): Share[] {
  const shares = [...sums].map(([name, amount]) => ({ name, amount }));
  return shares.sort((a, b) => b.amount - a.amount);
}
