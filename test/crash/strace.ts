// strace as a wrench: makes the n-th system call of a kind fail, or kills the process at it.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { skipUnlessInstalled } from '../peers/required.ts';

export interface Fault {
  /** Calls, as strace names them: 'write', 'pwrite64,ftruncate'. Each thread counts each call for itself. */
  readonly calls: string;
  /** Which of them: '5', or '5+' for that and all later ones. */
  readonly when: string;
  /** 'signal=SIGKILL' (the call does not happen) or 'error=ENOSPC'. */
  readonly what: string;
  /** Only calls on these files count. */
  readonly paths?: readonly string[];
}

/** For `test(name, { skip })`. Fails in CI where strace is not installed; where it may not trace, it skips everywhere. */
export function skipUnlessTracing(): string | false {
  const missing = skipUnlessInstalled('strace');
  if (missing !== false) return missing;
  try {
    execFileSync('strace', ['-D', '-f', '-o', '/dev/null', 'true'], { stdio: 'pipe' });
    return false;
  } catch {
    return 'this machine does not allow tracing';
  }
}

/**
 * The words in front of a command. The trace has one line a call, with the paths of its files. With -D strace is the grandchild, so
 * that who starts the command sees its own end. No --seccomp-bpf: with it, signals are not injected.
 */
export function strace(fault: Fault, tracePath: string): string[] {
  const { calls, when, what, paths = [] } = fault;
  const only = paths.flatMap((path) => ['-P', path]);
  const inject = `inject=${calls}:${what}:when=${when}`;
  return ['strace', '-D', '-f', '-y', '-o', tracePath, ...only, '-e', `trace=${calls}`, '-e', inject];
}

/** The call at which the process was killed, as strace shows it: 'write(20</state/journal/….log>, …'; '' where it was not. */
export function killedAt(tracePath: string): string {
  const lines = readFileSync(tracePath, 'utf8').split('\n');
  const killed = lines.findLast((line) => !line.includes('+++') && line.endsWith(' = ?')) ?? '';
  // A call that another thread's interrupted in the trace begins further up.
  const [, thread, call] = /^(\d+) +<\.\.\. (\w+) resumed>/.exec(killed) ?? [];
  const begun =
    thread === undefined
      ? killed
      : lines.findLast((line) => line.startsWith(`${thread} `) && line.includes(` ${call}(`));
  return begun?.replace(/^\d+ +/, '') ?? '';
}

/** Calls that strace made fail. */
export function countInjected(tracePath: string): number {
  return readFileSync(tracePath, 'utf8').match(/\(INJECTED\)/g)?.length ?? 0;
}
