// The certificates that the sandbox makes, as Node and OpenSSL see them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type CertificateOptions, makeCertificate } from '../../src/sandbox/certificate.ts';
import { writeBitString, writeInteger, writeOid, writeSequence, writeTime } from '../../src/sandbox/der.ts';
import { skipUnlessInstalled } from '../peers/required.ts';

const dayMs = 86_400_000;

test('DER is written as X.690 and RFC 5280 give it', () => {
  assert.equal(hex(writeInteger(Buffer.from([0, 0]))), '020100');
  assert.equal(hex(writeInteger(Buffer.from([0, 0x7f]))), '02017f');
  assert.equal(hex(writeInteger(Buffer.from([0x80]))), '02020080');
  assert.equal(hex(writeOid('1.2.840.113549')), '06062a864886f70d');
  assert.equal(hex(writeBitString(Buffer.from([0x80]), 7)), '03020780');
  assert.equal(hex(writeSequence(Buffer.alloc(127))).slice(0, 4), '307f');
  assert.equal(hex(writeSequence(Buffer.alloc(128))).slice(0, 6), '308180');
  assert.equal(hex(writeSequence(Buffer.alloc(256))).slice(0, 8), '30820100');
  assert.equal(writeTime(Date.UTC(2049, 11, 31, 23, 59, 59)).toString('latin1'), '\x17\x0d491231235959Z');
  assert.equal(writeTime(Date.UTC(2050, 0, 1)).toString('latin1'), '\x18\x0f20500101000000Z');
});

test('a certificate is X.509 v3, signed with its own key, for localhost and the loopback addresses', () => {
  const pair = makeCertificate();
  const certificate = new X509Certificate(pair.cert);
  assert.ok(certificate.verify(certificate.publicKey));
  assert.ok(certificate.checkIssued(certificate));
  assert.equal(certificate.ca, false);
  assert.equal(certificate.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
  assert.equal(certificate.checkHost('localhost'), 'localhost');
  assert.equal(certificate.checkHost('example.com'), undefined);
  assert.equal(certificate.checkIP('::1'), '::1');
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  const days = (certificate.validToDate.getTime() - certificate.validFromDate.getTime()) / dayMs;
  assert.ok(days > 397 && days < 398);
});

test('names and dates can be other ones', () => {
  const options = {
    names: ['mx.example', '2001:db8::ff', '::ffff:1.2.3.4'],
    notBeforeAt: 0,
    notAfterAt: dayMs,
  };
  const certificate = new X509Certificate(makeCertificate(options).cert);
  assert.equal(
    certificate.subjectAltName,
    'DNS:mx.example, IP Address:2001:DB8:0:0:0:0:0:FF, IP Address:0:0:0:0:0:FFFF:102:304',
  );
  assert.equal(certificate.validTo, 'Jan  2 00:00:00 1970 GMT');
});

test('every serial number and every key is another, and every certificate can be parsed', () => {
  const serials = Array.from({ length: 50 }, () => new X509Certificate(makeCertificate().cert).serialNumber);
  assert.equal(new Set(serials).size, 50);
});

const skip = skipUnlessInstalled('openssl');

test('OpenSSL verifies a certificate strictly, and refuses a wrong name and an expired one', { skip }, () => {
  assert.match(verifyWithOpenssl({}, 'localhost'), /: OK/);
  assert.match(verifyWithOpenssl({}, 'example.com'), /hostname mismatch/i);
  assert.match(
    verifyWithOpenssl({ notBeforeAt: 0, notAfterAt: dayMs }, 'localhost'),
    /certificate has expired/,
  );
});

function hex(der: Buffer): string {
  return der.toString('hex');
}

function verifyWithOpenssl(options: CertificateOptions, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-certificate-'));
  try {
    const file = join(folder, 'certificate.pem');
    writeFileSync(file, makeCertificate(options).cert);
    const strictly = [
      'verify',
      '-x509_strict',
      '-purpose',
      'sslserver',
      '-verify_hostname',
      name,
      '-CAfile',
      file,
      file,
    ];
    return execFileSync('sh', ['-c', 'openssl "$@" 2>&1 || true', 'sh', ...strictly], { encoding: 'utf8' });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
