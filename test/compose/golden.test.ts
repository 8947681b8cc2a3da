// Golden messages: what is sent for known campaigns and rows, byte for byte.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { composeGolden, goldenNames, goldenPath } from './golden/compose_golden.ts';

for (const name of goldenNames) {
  test(`the golden message "${name}" is composed byte for byte`, async () => {
    const composed = await composeGolden(name);
    assert.equal(composed.kind, 'message', composed.kind === 'invalid' ? composed.reason : '');
    const golden = readFileSync(goldenPath(name), 'latin1');
    assert.equal(composed.message, golden, 'wanted? node test/compose/golden/write.ts, and read git diff');
    // SMTP's end of data is CRLF "." CRLF behind this: the CRLF is ours, and there is one.
    assert.match(golden, /[^\r\n]\r\n$/);
    assert.equal(golden.replaceAll('\r\n', '').search(/[\r\n]/), -1, 'git has left the line ends alone');
  });
}

test('every golden message says why it is there', () => {
  assert.ok(goldenNames.length >= 6);
  for (const name of goldenNames) assert.ok(existsSync(join(dirname(goldenPath(name)), 'README.md')), name);
});
