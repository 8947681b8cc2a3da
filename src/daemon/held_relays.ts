// Relays that somebody has paused, over restarts: a small file in the state directory.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { syncFolder } from './sync_folder.ts';

const fileName = 'held_relays.json';

/** Names. A file that is damaged names none: who is in doubt sends. */
export function readHeldRelays(stateDir: string): Set<string> {
  const path = join(stateDir, fileName);
  if (!existsSync(path)) return new Set();
  try {
    const names: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return new Set(Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []);
  } catch {
    return new Set();
  }
}

/** Throws the system's error. */
export function writeHeldRelays(stateDir: string, names: ReadonlySet<string>): void {
  const path = join(stateDir, fileName);
  writeFileSync(`${path}.part`, JSON.stringify([...names]), { mode: 0o600, flush: true });
  renameSync(`${path}.part`, path);
  syncFolder(stateDir);
}
