// A process that is killed in the middle of a migration: `node migrate_child.ts DIRECTORY N` dies after its N-th statement.
import { writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { openLedger } from '../../src/ledger/open_ledger.ts';

const [directory = '', last = '0'] = process.argv.slice(2);
// oxlint-disable-next-line typescript/unbound-method -- it is called with the database as `this`
const exec = DatabaseSync.prototype.exec;
let isWriting = false;
let executed = 0;

/** Counts what is executed within the first transaction; its COMMIT counts and is not executed. */
DatabaseSync.prototype.exec = function execute(sql: string): void {
  if (isWriting) executed += 1;
  if (sql === 'COMMIT' && executed >= Number(last)) die();
  exec.call(this, sql);
  if (isWriting && executed >= Number(last)) die();
  if (sql === 'BEGIN IMMEDIATE') isWriting = true;
  if (sql === 'COMMIT') isWriting = false;
};

const ledger = await openLedger({ directory });
await ledger.close();
writeSync(1, 'migrated\n');

function die(): void {
  process.kill(process.pid, 'SIGKILL');
}
