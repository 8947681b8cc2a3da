// Keeps a server for as long as its test lives, however the test ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { systemPath } from './required.ts';

/** Lines of sh, in which "$1" is the folder. */
export interface KeptServer {
  /** Runs it in the foreground. */
  readonly start: string;
  /** Asks it to end, where SIGTERM to all of its process group does not do. */
  readonly stop?: string | undefined;
}

/**
 * Starts a server whose files are all in one folder, and returns what stops it and removes the folder. What it says
 * is in log/start.log there.
 *
 * The keeper waits for its own standard input to end: a pipe of ours, which ends with us even where we are killed. It
 * has a session of its own: Ctrl-C must not end it half-way.
 */
export function keepServer(folder: string, server: KeptServer): () => Promise<void> {
  const child = spawn('/bin/sh', ['-c', keeperScript(server), 'keeper', folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: systemPath(),
    detached: true,
  });
  const exited = once(child, 'exit');
  return async () => {
    child.stdin.end();
    await exited;
  };
}

/** What a server's children still write may come between rm and its end, so it is tried again. */
function keeperScript({ start, stop = ':' }: KeptServer): string {
  return `exec >"$1/log/start.log" 2>&1
${start} &
cat
trap '' TERM
${stop}
kill -TERM 0
wait
for attempt in 1 2 3 4 5; do rm -rf "$1" && break; sleep 0.2; done`;
}
