// Loaded into the program before it starts (--import): appends $GROW_TEXT to $GROW_FILE right after the n-th commit of its ledger, $GROW_AT.
import { appendFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { isMainThread } from 'node:worker_threads';

// oxlint-disable-next-line typescript/unbound-method -- it is called with the database as `this`
const exec = DatabaseSync.prototype.exec;
let left = Number(process.env['GROW_AT']);

if (isMainThread)
  DatabaseSync.prototype.exec = function execute(sql: string): void {
    exec.call(this, sql);
    if (sql !== 'COMMIT') return;
    left -= 1;
    if (left === 0) appendFileSync(process.env['GROW_FILE'] ?? '', process.env['GROW_TEXT'] ?? '');
  };
