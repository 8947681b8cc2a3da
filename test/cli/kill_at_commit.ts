// Loaded into the program before it starts (--import): kills it right after the n-th commit of its ledger, $KILL_AT_COMMIT.
import { DatabaseSync } from 'node:sqlite';

// oxlint-disable-next-line typescript/unbound-method -- it is called with the database as `this`
const exec = DatabaseSync.prototype.exec;
let left = Number(process.env['KILL_AT_COMMIT']);

DatabaseSync.prototype.exec = function execute(sql: string): void {
  exec.call(this, sql);
  if (sql !== 'COMMIT') return;
  left -= 1;
  if (left === 0) process.kill(process.pid, 'SIGKILL');
};
