// A state directory that a daemon has open: then it is the daemon that is asked.
import { existsSync } from 'node:fs';
import { PosthasteError } from '../base/error.ts';
import type { ControlClient } from '../control/client.ts';
import { openClient, placesOf, type DaemonOptions } from './daemon_client.ts';

/**
 * Reads the state directory itself, or asks the daemon: where somebody names one, and where the directory is in use and one
 * answers. Throws what reading throws, where nobody answers.
 */
export async function readOrAsk<T>(
  options: DaemonOptions,
  read: () => Promise<T>,
  ask: (client: ControlClient) => Promise<T>,
): Promise<T> {
  if (options.socket !== undefined || options.url !== undefined) return ask(openClient(options));
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof PosthasteError) || !mayBeHeld(error, options)) throw error;
    try {
      return await ask(openClient(options));
    } catch (refusal) {
      const isAlone = refusal instanceof PosthasteError && refusal.code === 'ERR_DAEMON_UNREACHABLE';
      throw isAlone ? error : refusal;
    }
  }
}

/** A directory that this user may not open, or not even look into, can be a daemon's whose socket he may use. */
function mayBeHeld({ code }: PosthasteError, options: DaemonOptions): boolean {
  if (code === 'ERR_STATE_IN_USE') return true;
  const isHidden = code === 'ERR_STATE_MISSING' || code === 'ERR_STATE_CANNOT_OPEN';
  return isHidden && existsSync(placesOf(options).socketPath);
}
