// Replacing a stored campaign: at every moment the old one or the new one is there, and the lists that wait stay.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { syncFolder } from './sync_folder.ts';

/*
 * the old one in its place → aside, and nothing in its place → the new one there → the lists moved over → the old one gone.
 * `settleReplaced` goes on from wherever a process died; with nothing in its place, the old one goes back.
 */

/** `folder` takes the place of `target`, which goes by way of `aside`. Throws the system's error; then the old one is there. */
export function replaceCampaign(folder: string, target: string, aside: string): void {
  renameSync(target, aside);
  try {
    renameSync(folder, target);
  } finally {
    settleReplaced(target, aside);
  }
}

/** Ends a replacing that was begun. */
export function settleReplaced(target: string, aside: string): void {
  if (!existsSync(aside)) return;
  if (existsSync(target)) {
    // They were accepted, too. The new one's list has a number behind theirs.
    moveLists(join(aside, 'lists'), join(target, 'lists'));
    rmSync(aside, { recursive: true });
  } else {
    renameSync(aside, target);
  }
  // Were it there again after a power cut, its lists could take the places of later ones.
  syncFolder(dirname(aside));
}

function moveLists(from: string, to: string): void {
  if (!existsSync(from)) return;
  mkdirSync(to, { recursive: true, mode: 0o700 });
  for (const list of readdirSync(from)) renameSync(join(from, list), join(to, list));
  syncFolder(to);
}
