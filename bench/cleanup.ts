// What a benchmark leaves to nobody: child processes and temporary folders go when it ends, however it ends.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';

const undos = new Set<() => void>();
process.on('exit', () => {
  for (const undo of undos) undo();
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]));
}

/** Makes a folder that is gone when this process ends. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-bench-'));
  undos.add(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Sees to it that a child does not outlive this process: it gets `signal` if it is still there at the end. */
export function endWithUs(child: ChildProcess, signal: NodeJS.Signals): void {
  const undo = (): void => void child.kill(signal);
  undos.add(undo);
  child.once('exit', () => undos.delete(undo));
}
