// The examples of the RFCs.
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, hash, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import { relaxBody } from '../../src/sign/body.ts';
import { relaxField } from '../../src/sign/header.ts';

/** RFC 6376 §3.4.5: "A", "B" and the body of its message, and what they become. */
const relaxedFields: readonly (readonly [field: string, relaxed: string])[] = [
  ['A: X\r\n', 'a:X\r\n'],
  ['B : Y\t\r\n\tZ  \r\n', 'b:Y Z\r\n'],
  // §3.4.2, step by step.
  ['SUBJect: AbC\r\n', 'subject:AbC\r\n'],
  ['Subject:\r\n one\r\n\ttwo\r\n', 'subject:one two\r\n'],
  ['Subject: one \t \r\n \t two\r\n', 'subject:one two\r\n'],
  ['Subject: one  two\t\tthree\r\n', 'subject:one two three\r\n'],
  ['Subject: one \t\r\n', 'subject:one\r\n'],
  ['Subject \t: \t one\r\n', 'subject:one\r\n'],
  ['Subject:one:two\r\n', 'subject:one:two\r\n'],
  ['Subject:\r\n', 'subject:\r\n'],
  ['Subject: \r\n', 'subject:\r\n'],
  ['Subject: \t \r\n \t\r\n', 'subject:\r\n'],
];

for (const [field, relaxed] of relaxedFields) {
  test(`the relaxed form of ${JSON.stringify(field)} is ${JSON.stringify(relaxed)}`, () => {
    assert.equal(relaxField(field), relaxed);
  });
}

const relaxedBodies: readonly (readonly [body: string, relaxed: string])[] = [
  [' C \r\nD \t E\r\n\r\n\r\n', ' C\r\nD E\r\n'],
  // §3.4.4: of a body of empty lines nothing is left, blanks or not.
  ['', ''],
  ['\r\n', ''],
  ['\r\n\r\n\r\n', ''],
  [' \t\r\n \r\n', ''],
  ['\t\r\n', ''],
  ['one\r\n', 'one\r\n'],
  ['one\r\n \t \r\n', 'one\r\n'],
  ['\r\none\r\n', '\r\none\r\n'],
  ['one\r\n\r\ntwo\r\n\r\n', 'one\r\n\r\ntwo\r\n'],
  ['\tone\t\ttwo \t \r\n', ' one two\r\n'],
  ['  one   two  three    \r\n', ' one two three\r\n'],
  [' \r\n one\r\n', '\r\n one\r\n'],
];

for (const [body, relaxed] of relaxedBodies) {
  test(`the relaxed form of the body ${JSON.stringify(body)} is ${JSON.stringify(relaxed)}`, () => {
    const header = 'A:  B \r\n\r\n';
    assert.equal(relaxBody(header + body, header.length), relaxed);
  });
}

test('the hash of an empty body is that of RFC 6376 §3.4.4', () => {
  assert.equal(
    hash('sha256', relaxBody('\r\n', 0), 'base64'),
    '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
  );
});

/** RFC 8463 appendix A. */
const fields = {
  from: 'From: Joe SixPack <joe@football.example.com>\r\n',
  to: 'To: Suzie Q <suzie@shopping.example.net>\r\n',
  subject: 'Subject: Is dinner ready?\r\n',
  date: 'Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n',
  'message-id': 'Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n',
};
const body = 'Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n';

const ed25519Field = `DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=`.replaceAll('\n', '\r\n');
const ed25519Signature =
  '/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==';
const ed25519Key = createPrivateKey({
  // RFC 8410 §7: the 32 octets of the secret key in their PKCS#8 frame.
  key: Buffer.concat([
    Buffer.from('302e020100300506032b657004220420', 'hex'),
    Buffer.from('nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=', 'base64'),
  ]),
  format: 'der',
  type: 'pkcs8',
});

const rsaField = `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=`.replaceAll('\n', '\r\n');
const rsaSignature =
  'F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2JzdA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=';
const rsaKey = createPublicKey({
  key: Buffer.from(
    'MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB',
    'base64',
  ),
  format: 'der',
  type: 'spki',
});

/** What is signed: the relaxed fields, and the signature's own field last, without its CRLF (RFC 6376 §3.7). */
function signedOctets(field: string): Buffer {
  const relaxed = Object.values(fields).map((one) => relaxField(one));
  return Buffer.from(`${relaxed.join('')}${relaxField(`${field}\r\n`).slice(0, -2)}`);
}

test('the body of RFC 8463 appendix A has the hash that stands there', () => {
  assert.equal(hash('sha256', relaxBody(body, 0), 'base64'), '2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=');
});

test('what Ed25519 signs in RFC 8463 appendix A.2 gives the signature that stands there', () => {
  const digest = hash('sha256', signedOctets(ed25519Field), 'buffer');
  assert.equal(sign(null, digest, ed25519Key).toString('base64'), ed25519Signature);
});

test('what RSA signs in RFC 8463 appendix A.3 is what its signature is for', () => {
  const signature = Buffer.from(rsaSignature, 'base64');
  assert.equal(verify('sha256', signedOctets(rsaField), rsaKey, signature), true);
});
