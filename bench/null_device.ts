// Loaded before the program (--import), in every thread: puts a ledger and a journal that keep nothing in place of the real ones.
import { registerHooks } from 'node:module';

const replacements = new Map([
  ['/dist/ledger/open_ledger.js', new URL('null_ledger.ts', import.meta.url).href],
  ['/dist/journal/writer.js', new URL('null_journal.ts', import.meta.url).href],
]);

registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context);
    const path = [...replacements.keys()].find((end) => resolved.url.endsWith(end));
    const url = path === undefined ? undefined : replacements.get(path);
    return url === undefined ? resolved : { ...resolved, url, format: 'module-typescript' };
  },
});
