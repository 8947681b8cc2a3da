// The version: read from package.json, which is two folders up in a clone and in a package.
import { readFileSync } from 'node:fs';

/** The version in package.json, for --version and the build information. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const parsed: unknown = JSON.parse(text);
  const known =
    typeof parsed === 'object' && parsed !== null && 'version' in parsed ? parsed.version : undefined;
  return typeof known === 'string' ? known : 'unknown';
}
