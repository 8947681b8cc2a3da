// A root folder for a server that is not installed: the program with what it loads, and the users that it runs as.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findProgram } from './required.ts';

/** Debian's packages would add these users; here they are known within the jail only. */
export const jailUsers = { 'Debian-exim': 64_901, opensmtpd: 64_902, opensmtpq: 64_903 } as const;

/**
 * Makes a folder one that `chroot` can run a program in. Of all that is in the world, only the network is the same inside:
 * paths that are compiled into a server, as OpenSMTPD's are, are each instance's own.
 *
 * `programs`: paths inside to names of programs, which are copied.
 */
export function buildJail(root: string, programs: Readonly<Record<string, string>>): void {
  for (const [inside, name] of Object.entries(programs)) {
    const outside = findProgram(name);
    if (outside === undefined) throw new Error(`${name} is not installed`);
    copyIn(root, outside, inside);
    for (const library of listLibraries(outside)) copyIn(root, library, library);
  }
  for (const name of ['etc', 'dev']) mkdirSync(join(root, name), { recursive: true });
  const users = Object.entries(jailUsers);
  const passwd = users.map(([name, id]) => `${name}:x:${id}:${id}::/:/bin/sh\n`).join('');
  const group = users.map(([name, id]) => `${name}:x:${id}:\n`).join('');
  writeFileSync(join(root, 'etc/passwd'), `root:x:0:0::/:/bin/sh\n${passwd}`);
  writeFileSync(join(root, 'etc/group'), `root:x:0:\n${group}`);
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files\n');
  writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n');
  execFileSync('mknod', ['-m', '666', join(root, 'dev/null'), 'c', '1', '3']);
}

function copyIn(root: string, outside: string, inside: string): void {
  const path = join(root, inside);
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(outside, path);
  // Never setuid, as Exim is where it is installed.
  chmodSync(path, 0o755);
}

/** The dynamic loader among them. */
function listLibraries(program: string): readonly string[] {
  const listed = execFileSync('ldd', [program], { encoding: 'utf8' });
  if (listed.includes('not found')) throw new Error(`${program} lacks libraries:\n${listed}`);
  return [...listed.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path);
}
