// Holds the choice of the address column to what users expect and the errors to what they need.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseAddressColumn } from '../../src/intake/columns.ts';

test('the only column that is named like an address is chosen', () => {
  const table: [string[], number][] = [
    [['name', 'email'], 1],
    [['E-Mail', 'name'], 0],
    [['name', 'Email Address'], 1],
    [['email_address'], 0],
    [['id', 'mail'], 1],
    [['id', 'address'], 1],
    [['address', 'city', 'email'], 2],
  ];
  for (const [columns, index] of table)
    assert.equal(chooseAddressColumn(columns, undefined, 'list.csv'), index);
});

test('a named column is taken exactly', () => {
  assert.equal(chooseAddressColumn(['email', 'Work'], 'Work', 'list.csv'), 1);
});

test('none, several or a wrong name is an error that lists the columns', () => {
  const table: [string[], string | undefined, RegExp][] = [
    [['id', 'name'], undefined, /named like an address; its columns are: id, name\./],
    [['email', 'e-mail'], undefined, /several .* \(email, e-mail\)/],
    [['email', 'name'], 'Email', /no column "Email"; its columns are: email, name\./],
    [Array.from({ length: 30 }, (_, index) => `c${index}`), undefined, /c19 and 10 more/],
  ];
  for (const [columns, wanted, message] of table) {
    const error = { code: 'ERR_LIST_NO_ADDRESS_COLUMN', message, exitCode: 65 };
    assert.throws(() => chooseAddressColumn(columns, wanted, 'list.csv'), error);
  }
});
