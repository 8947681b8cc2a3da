// What systemd is told of a service (sd_notify(3)): that it is ready, how it is, that it lives.
import { execFile } from 'node:child_process';

export interface Notifier {
  /** Tells it, in order; never throws, and does nothing where nobody listens. */
  tell(state: Readonly<Record<string, string>>): Promise<void>;
  /** How often the watchdog wants to hear; undefined where there is none. */
  readonly watchdogMs: number | undefined;
}

const programTimeoutMs = 5000;

/** Node cannot open Unix datagram sockets, so the program of systemd's does (the unit needs NotifyAccess=all). */
export function createNotifier(env: NodeJS.ProcessEnv, onError: (error: unknown) => void): Notifier {
  const isListening = (env['NOTIFY_SOCKET'] ?? '') !== '';
  const watchdogUs = Number(env['WATCHDOG_USEC'] ?? 0);
  let last: Promise<void> = Promise.resolve();
  return {
    watchdogMs: isListening && watchdogUs > 0 ? watchdogUs / 1000 : undefined,
    tell: (state) => {
      if (!isListening) return Promise.resolve();
      last = last.then(() => run(state, env)).catch(onError);
      return last;
    },
  };
}

function run(state: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv): Promise<void> {
  const args = Object.entries(state).map(([name, value]) => `${name}=${value.replaceAll(/[\r\n]+/g, ' ')}`);
  return new Promise((resolve, reject) => {
    execFile('systemd-notify', args, { timeout: programTimeoutMs, env: pick(env) }, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

/** Nothing of the service's secrets goes to a program that needs none of them. */
function pick(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { PATH: env['PATH'] ?? '', NOTIFY_SOCKET: env['NOTIFY_SOCKET'] ?? '' };
}
