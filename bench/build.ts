// The program as it is installed: what is measured is what npm brings, built JavaScript, and not a clone's TypeScript.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
let built = false;

/** Builds the program, the first time that this process asks. Returns its path from the top of the project. */
export function buildProgram(): string {
  if (!built) execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
  built = true;
  return 'dist/main.js';
}
