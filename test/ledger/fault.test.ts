// Faults of SQLite: which error each result code becomes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosthasteError } from '../../src/base/error.ts';
import { explainSqlite } from '../../src/ledger/fault.ts';

/** Primary and extended result codes of sqlite.org/rescode.html. */
const codes: readonly (readonly [errcode: number, name: string, code: string, exitCode: number])[] = [
  [5, 'SQLITE_BUSY', 'ERR_STATE_IN_USE', 75],
  [261, 'SQLITE_BUSY_RECOVERY', 'ERR_STATE_IN_USE', 75],
  [8, 'SQLITE_READONLY', 'ERR_STATE_READ_ONLY', 74],
  [1032, 'SQLITE_READONLY_DBMOVED', 'ERR_STATE_READ_ONLY', 74],
  [778, 'SQLITE_IOERR_WRITE', 'ERR_STATE_IO', 74],
  [1034, 'SQLITE_IOERR_FSYNC', 'ERR_STATE_IO', 74],
  [267, 'SQLITE_CORRUPT_VTAB', 'ERR_STATE_CORRUPT', 74],
  [13, 'SQLITE_FULL', 'ERR_STATE_FULL', 74],
  [3, 'SQLITE_PERM', 'ERR_STATE_CANNOT_OPEN', 74],
  [526, 'SQLITE_CANTOPEN_ISDIR', 'ERR_STATE_CANNOT_OPEN', 74],
  [26, 'SQLITE_NOTADB', 'ERR_STATE_UNKNOWN_FILE', 78],
];

for (const [errcode, name, code, exitCode] of codes) {
  test(`${name} is ${code}`, () => {
    const cause = Object.assign(new Error('text of SQLite'), { errcode });
    const error = explainSqlite(cause, 'state/ledger.db');
    assert.ok(error instanceof PosthasteError);
    assert.equal(error.code, code);
    assert.equal(error.exitCode, exitCode);
    assert.equal(error.cause, cause);
    assert.match(error.message, /^the ledger state\/ledger\.db .*: text of SQLite$/);
  });
}

test('what is no fault of the disk stays what it is', () => {
  const wrongSql = Object.assign(new Error('no such table'), { errcode: 1 });
  assert.equal(explainSqlite(wrongSql, ''), wrongSql);
  const ours = new Error('bug: something');
  assert.equal(explainSqlite(ours, ''), ours);
});
