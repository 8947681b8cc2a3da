// Breaks the journals of a process from within: preloaded by --import, in every thread. The disk takes a part of the n-th block and
// then nothing more; or the thread ends, throws or exhausts its memory behind it.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread, threadId } from 'node:worker_threads';

const how = process.env['BREAK_HOW'] ?? '';
const at = Number(process.env['BREAK_AT']);
/** Threads with a higher number are spared: those that took the place of dead ones. */
const threads = Number(process.env['BREAK_THREADS'] ?? Infinity);
const journals = new Set<number>();
const { openSync, writeSync } = fs;
let blocks = 0;

if (!isMainThread && threadId <= threads) {
  fs.openSync = (path, flags, mode) => {
    const file = openSync(path, flags, mode);
    if (String(path).includes('/journal/')) journals.add(file);
    return file;
  };
  fs.writeSync = (file: number, block: NodeJS.ArrayBufferView | string, from?: unknown): number => {
    const start = typeof from === 'number' ? from : 0;
    if (typeof block === 'string') return writeSync(file, block);
    if (!journals.has(file)) return writeSync(file, block, start);
    blocks += 1;
    if (how === 'full') return blocks < at ? writeSync(file, block, start) : fill(file, block, start);
    const written = writeSync(file, block, start);
    if (blocks === at) breakThread();
    return written;
  };
  syncBuiltinESMExports();
}

/** As a full disk does: a part of it, and at the next try the error. */
function fill(file: number, block: NodeJS.ArrayBufferView, start: number): number {
  if (blocks === at && start === 0) return writeSync(file, block, 0, Math.floor(block.byteLength / 2));
  throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
}

function breakThread(): void {
  if (how === 'exit') process.exit(3);
  // Outside of every try: nobody of ours can catch it.
  if (how === 'throw')
    setImmediate(() => {
      throw new Error('a bug that nobody foresaw');
    });
  if (how === 'memory') exhaustMemory();
}

function exhaustMemory(): void {
  const kept: string[][] = [];
  for (;;) kept.push(Array.from({ length: 100_000 }, (_, index) => `${index} ${kept.length}`));
}
