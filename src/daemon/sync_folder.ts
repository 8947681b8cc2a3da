// Syncing a folder: a file's name is in it, and it has a cache of its own.
import { closeSync, fsyncSync, openSync } from 'node:fs';

export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
