// What must have come of a mailing: messages that arrived, results, errors, and no secret in any of them.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import PostalMime from 'postal-mime';
import type { KeptMessage } from '../../src/sandbox/kept_message.ts';
import { summaryIn, type Ended, type Folder } from '../cli/posthaste.ts';
import { codeOf, firstNameOf } from './mailing.ts';
import { account } from './policy.ts';

/** What Postfix writes into a Received field of what came over TLS and from our account. */
const receivedByPostfix = /using TLSv1\.[23]\b.*\(Authenticated sender: mailer@peer\.test\).*with ESMTPSA\b/s;

/**
 * Each of `count` recipients has one message, which says their name and code. `received`: what the peer says in its
 * Received field of how it came.
 */
export async function assertPersonalised(
  messages: readonly KeptMessage[],
  count: number,
  received = receivedByPostfix,
): Promise<void> {
  assertOncePerRecipient(messages, count);
  for (const message of messages) await assertIsForItsRecipient(message, received);
}

/** Each of `count` recipients has one message. */
export function assertOncePerRecipient(messages: readonly KeptMessage[], count: number): void {
  const recipients = messages.flatMap((message) => message.recipients);
  assert.deepEqual([messages.length, recipients.length, new Set(recipients).size], [count, count, count]);
}

async function assertIsForItsRecipient(message: KeptMessage, received: RegExp): Promise<void> {
  const recipient = message.recipients[0] ?? '';
  const name = firstNameOf(recipient);
  const code = codeOf(recipient);
  const parsed = await PostalMime.parse(message.data);
  assert.equal(message.reversePath, 'hello@mail.example.com');
  assert.equal(parsed.to?.[0]?.address, recipient);
  assert.equal(parsed.subject, `${name}, spring is here`);
  assert.equal(parsed.text?.trim(), `Dear ${name}, your code is ${code}.`);
  const escaped = name.replace('&', '&amp;');
  assert.equal(parsed.html?.trim(), `<p>Dear ${escaped}, your code is <b>${code}</b>.</p>`);
  // The topmost is the last one's.
  assert.match(parsed.headers.find((header) => header.key === 'received')?.value ?? '', received);
}

/** The run came to its end and all rows were accepted. */
export function assertAllAccepted(ended: Ended, rows: number): void {
  assertCounts(ended, rows, 0);
}

/** Who was accepted, who rejected; nobody has another fate. */
export function assertCounts(ended: Ended, accepted: number, rejected: number): void {
  assert.equal(ended.code, 0, ended.stderr);
  const summary = summaryIn(ended);
  assert.deepEqual(
    [summary.end, summary.rows, summary.accepted, summary.rejected],
    ['finished', accepted + rejected, accepted, rejected],
  );
}

/** Each row has its fate by so many attempts. */
export function assertEachAttempted(results: ReturnType<typeof readResults>, attempts: number): void {
  for (const [email, row] of results) assert.deepEqual([email, row['attempts']], [email, attempts]);
}

export interface ExpectedError {
  readonly exitCode: number;
  readonly code: string;
  readonly message: RegExp;
  readonly hint: RegExp;
}

/** On stdout for programs, on stderr for people. */
export function assertError(ended: Ended, expected: ExpectedError): void {
  assert.equal(ended.code, expected.exitCode, ended.stderr);
  const error = parseObject(ended.stdout.trimEnd().split('\n').at(-1) ?? '');
  const { exitCode, code } = expected;
  assert.deepEqual([error['type'], error['code'], error['exitCode']], ['error', code, exitCode]);
  for (const text of [String(error['message']), ended.stderr]) assert.match(text, expected.message);
  for (const text of [String(error['hint']), ended.stderr]) assert.match(text, expected.hint);
}

/** Neither output nor state has the password: plain, percent-encoded, or in the base64 of AUTH LOGIN and AUTH PLAIN. */
export function assertSecretFree(ended: Ended, folder: Folder, pass: string): void {
  const text = `${ended.stdout}${ended.stderr}${readState(folder)}`;
  const forms = [pass, encodeURIComponent(pass), toBase64(pass), toBase64(`\0${account.user}\0${pass}`)];
  for (const form of forms) assert.ok(!text.includes(form), `"${form}" can be read in what was written`);
}

function toBase64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** Every byte of the state directory, as text. */
function readState(folder: Folder): string {
  const entries = readdirSync(join(folder.path, 'state'), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  assert.ok(files.length > 0, 'the state directory is empty');
  return files.map((file) => readFileSync(file, 'utf8')).join('');
}

/** The results, by address. */
export function readResults(folder: Folder): Map<string, Readonly<Record<string, unknown>>> {
  const lines = folder.read('results.ndjson').trimEnd().split('\n');
  return new Map(lines.map((line) => parseObject(line)).map((row) => [String(row['email']), row]));
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(text);
  assert.ok(typeof value === 'object' && value !== null, text);
  return { ...value };
}
