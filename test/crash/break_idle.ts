// Breaks the first thread of a process while it has nothing to do: preloaded by --import. $BREAK_WHEN: `loading`, or `idle`, which is
// when a file named by $BREAK_FILE has come.
import { existsSync } from 'node:fs';
import { isMainThread, threadId } from 'node:worker_threads';

const when = process.env['BREAK_WHEN'];
const file = process.env['BREAK_FILE'] ?? '';

if (!isMainThread && when === 'loading') throw new Error('a thread that cannot be loaded');
if (!isMainThread && threadId === 1 && when === 'idle') {
  const timer = setInterval(() => {
    if (!existsSync(file)) return;
    clearInterval(timer);
    throw new Error('a bug that nobody foresaw');
  }, 5);
  timer.unref();
}
