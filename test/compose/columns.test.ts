// The names of columns in templates.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findNearestName, nameColumns } from '../../src/compose/columns.ts';

test('a column that is no identifier has one as a second name', () => {
  const names = nameColumns(['email', 'first name', ' Größe (cm) ', '2nd address', '__x__']);
  assert.deepEqual(
    [...names],
    [
      ['email', 0],
      ['first name', 1],
      [' Größe (cm) ', 2],
      ['2nd address', 3],
      ['__x__', 4],
      ['first_name', 1],
      ['Größe_cm', 2],
      ['_2nd_address', 3],
    ],
  );
});

test('a second name that is ambiguous or taken is not given', () => {
  assert.equal(nameColumns(['a b', 'a.b']).has('a_b'), false);
  assert.equal(nameColumns(['a b', 'a_b']).get('a_b'), 1);
  assert.equal(nameColumns(['...']).size, 1);
});

test('of two columns with one name the first counts', () => {
  assert.equal(nameColumns(['x', 'x']).get('x'), 0);
});

test('the nearest name is the one with the fewest edits, and none where nothing is alike', () => {
  const names = ['email', 'first_name', 'last_name'];
  assert.equal(findNearestName('frist_name', names), 'first_name');
  assert.equal(findNearestName('FirstName', names), 'first_name');
  assert.equal(findNearestName('quantity', names), undefined);
});
