// Against a real Postfix: TLS, AUTH, refusals and closed sessions as the world's commonest relay does them.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import PostalMime from 'postal-mime';
import type { KeptMessage } from '../../src/sandbox/kept_message.ts';
import { Folder, summaryIn, type Ended } from '../cli/posthaste.ts';
import { account, startPostfix, unknownPrefix, type Postfix } from './postfix.ts';
import { skipUnlessInstalled } from './required.ts';

const main = resolve(import.meta.dirname, '../../src/main.ts');
const programs = ['postfix', 'saslpasswd2', 'openssl', 'bash', 'gzip'];
const reasons = programs.map((program) => skipUnlessInstalled(program)).filter((reason) => reason !== false);
const skip = process.getuid?.() === 0 ? (reasons[0] ?? false) : 'Postfix needs root';

const bare = ['send', 'campaign.yaml', 'list.csv', '--state', 'state', '--json'];
const args = [...bare, '--config', 'posthaste.yaml'];
const withResults = [...args, '--results', 'results.ndjson'];
const credentials = { user: '${SMTP_USER}', pass: '${SMTP_PASS}' };
const environment = { SMTP_USER: account.user, SMTP_PASS: account.pass };

describe('with a real Postfix', { skip, timeout: 300_000 }, () => {
  let started: Postfix | undefined;
  before(async () => {
    started = await startPostfix();
  });
  after(() => started?.stop());
  const postfix = (): Postfix => started ?? assert.fail('Postfix did not start');

  test('STARTTLS and AUTH PLAIN carry a list of 300, once and personalised to each', async (context) => {
    const { submissionPort, caFile, log } = postfix();
    const folder = openFolder(context, 'starttls', { port: submissionPort, auth: credentials, ca: caFile }, makeList('starttls', 300));
    const logged = log().length;
    assertFinished(await folder.run(args, { env: environment }), 300);
    assert.match(log().slice(logged), new RegExp(`sasl_method=PLAIN, sasl_username=${account.user}`));
    await assertPersonalised(await postfix().arrivals('starttls.test'), 300);
  });

  test('TLS from the start and AUTH LOGIN carry a list of 300, once and personalised to each', async (context) => {
    const { smtpsPort, caFile, log } = postfix();
    const auth = { ...credentials, method: 'LOGIN' };
    const folder = openFolder(context, 'smtps', { port: smtpsPort, secure: true, auth, ca: caFile }, makeList('smtps', 300));
    const logged = log().length;
    assertFinished(await folder.run(args, { env: environment }), 300);
    assert.match(log().slice(logged), new RegExp(`sasl_method=LOGIN, sasl_username=${account.user}`));
    await assertPersonalised(await postfix().arrivals('smtps.test'), 300);
  });

  test('the password may be in a file', async (context) => {
    const { submissionPort, caFile } = postfix();
    const auth = { user: account.user, pass: { file: 'password.txt' } };
    const folder = openFolder(context, 'file', { port: submissionPort, auth, ca: caFile }, makeList('file', 3));
    folder.write('password.txt', `${account.pass}\n`);
    assertFinished(await folder.run(args), 3);
    await assertPersonalised(await postfix().arrivals('file.test'), 3);
  });

  test('the password may be a systemd credential', async (context) => {
    const { submissionPort, caFile } = postfix();
    const auth = { user: account.user, pass: { credential: 'smtp-password' } };
    const folder = openFolder(context, 'credential', { port: submissionPort, auth, ca: caFile }, makeList('credential', 3));
    folder.write('credentials/smtp-password', account.pass);
    chmodSync(join(folder.path, 'credentials/smtp-password'), 0o400);
    const env = { CREDENTIALS_DIRECTORY: join(folder.path, 'credentials') };
    assertFinished(await folder.run(args, { env }), 3);
    await assertPersonalised(await postfix().arrivals('credential.test'), 3);
  });

  test('a relay URL may carry the password, percent-encoded', async (context) => {
    const { submissionPort, caFile } = postfix();
    const folder = openFolder(context, 'url', { port: submissionPort, auth: credentials }, makeList('url', 3));
    const userInfo = [account.user, account.pass].map(encodeURIComponent).join(':');
    const url = `smtp+starttls://${userInfo}@127.0.0.1:${submissionPort}?ca=${encodeURIComponent(caFile)}`;
    const ended = await folder.run([...bare, '--relay', url]);
    assertFinished(ended, 3);
    assertSecretFree(`${ended.stdout}${ended.stderr}${readState(folder)}`, encodeURIComponent(account.pass));
    await assertPersonalised(await postfix().arrivals('url.test'), 3);
  });

  test('a wrong password ends with 77, is shown nowhere and loses nobody', async (context) => {
    const { submissionPort, caFile, log } = postfix();
    const folder = openFolder(context, 'wrong', { port: submissionPort, auth: credentials, ca: caFile }, makeList('wrong', 40));
    const pass = 'not the "Übung" you know';
    const logged = log().length;
    const refused = await folder.run(args, { env: { ...environment, SMTP_PASS: pass } });
    assertError(refused, { exitCode: 77, code: 'ERR_RELAY_AUTH', message: /535 5\.7\.8/, hint: /user and password/ });
    assertSecretFree(`${refused.stdout}${refused.stderr}${readState(folder)}`, pass);
    // A relay locks out whoever hammers: each of the five sessions of the share may try once.
    const tries = log().slice(logged).match(/authentication failed/g)?.length ?? 0;
    assert.ok(tries >= 1 && tries <= 5, `${tries} tries with a password that is wrong`);
    assert.deepEqual(await postfix().arrivals('wrong.test'), []);

    const finished = await folder.run(args, { env: environment });
    assertFinished(finished, 40);
    assertSecretFree(`${finished.stdout}${finished.stderr}${readState(folder)}`, account.pass);
    await assertPersonalised(await postfix().arrivals('wrong.test'), 40);
  });

  test('a certificate of an unknown authority ends with 69, and nothing is said to the relay', async (context) => {
    const { submissionPort, caFile, log } = postfix();
    const folder = openFolder(context, 'untrusted', { port: submissionPort, auth: credentials }, makeList('untrusted', 5));
    const logged = log().length;
    const refused = await folder.run(args, { env: environment });
    assertError(refused, { exitCode: 69, code: 'ERR_RELAY_UNAVAILABLE', message: /certificate/, hint: /tls\.ca/ });
    assert.doesNotMatch(log().slice(logged), /sasl_method|authentication failed/);
    assert.deepEqual(await postfix().arrivals('untrusted.test'), []);

    folder.write('posthaste.yaml', writeConfig({ port: submissionPort, auth: credentials, ca: caFile }));
    assertFinished(await folder.run(args, { env: environment }), 5);
    await assertPersonalised(await postfix().arrivals('untrusted.test'), 5);
  });

  test('a certificate for another host ends with 69', async (context) => {
    const { smtpsPort, caFile } = postfix();
    const relay = { host: 'localhost', port: smtpsPort, secure: true, auth: credentials, ca: caFile };
    const folder = openFolder(context, 'misnamed', relay, makeList('misnamed', 5));
    const refused = await folder.run(args, { env: environment });
    assertError(refused, { exitCode: 69, code: 'ERR_RELAY_UNAVAILABLE', message: /localhost/, hint: /host name/ });
    assert.deepEqual(await postfix().arrivals('misnamed.test'), []);
  });

  test('unknown recipients are rejected with the whole reply, greylisted ones are tried again', async (context) => {
    const { submissionPort, caFile } = postfix();
    const list = `${makeList('refused', 20)}${makeList('refused', 4, unknownPrefix, '')}${makeList('refused', 6, 'grey', '')}`;
    const folder = openFolder(context, 'refused', { port: submissionPort, auth: credentials, ca: caFile }, list);
    const ended = await folder.run(withResults, { env: environment });
    assert.equal(ended.code, 0, ended.stderr);
    const { accepted, rejected, deferred } = summaryIn(ended);
    assert.deepEqual({ accepted, rejected, deferred }, { accepted: 26, rejected: 4, deferred: 0 });

    for (const row of readResults(folder)) {
      const { email, status, reply, attempts, classification } = row;
      if (email.startsWith(unknownPrefix)) {
        const refusal = `550 5.1.1 <${email}>: Recipient address rejected: User unknown in relay recipient table`;
        assert.deepEqual([status, reply, attempts], ['rejected', refusal, 1]);
        assert.deepEqual([row.reply_code, row.enhanced_status, classification], [550, '5.1.1', 'no-such-recipient']);
      } else {
        assert.deepEqual([email, status, attempts], [email, 'accepted', email.startsWith('grey') ? 2 : 1]);
      }
    }
    const arrived = await postfix().arrivals('refused.test');
    await assertPersonalised(arrived, 26);
    const [earliest = 0, ...later] = arrived.map((message) => message.receivedAt).sort((left, right) => left - right);
    assert.ok((later.at(-1) ?? 0) - earliest >= 900, 'the second attempt came before its second was over');
  });

  test('a list comes through a shell pipe', async (context) => {
    const { submissionPort, caFile } = postfix();
    const folder = openFolder(context, 'pipe', { port: submissionPort, auth: credentials, ca: caFile });
    folder.write('list.csv.gz', gzipSync(makeList('pipe', 300)));
    folder.write('bin/posthaste', `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`);
    chmodSync(join(folder.path, 'bin/posthaste'), 0o755);
    const command = `gzip -dc list.csv.gz | posthaste ${args.with(2, '-').join(' ')}`;
    assertFinished(await runShell(folder, command), 300);
    await assertPersonalised(await postfix().arrivals('pipe.test'), 300);
  });

  test('a pool whose sessions Postfix closes while they wait for a limit goes on', async (context) => {
    const { impatientPort, caFile, log } = postfix();
    const limits = { rateLimit: 3, rateDelta: '2500ms', maxConnections: 2 };
    const relay = { port: impatientPort, auth: credentials, ca: caFile, ...limits };
    const folder = openFolder(context, 'idle', relay, makeList('idle', 9));
    const logged = log().length;
    const ended = await folder.run(withResults, { env: environment });
    assertFinished(ended, 9);
    assert.match(log().slice(logged), /timeout after [A-Z-]+ from/, 'the guard: no session timed out');
    assert.deepEqual(new Set(readResults(folder).map((row) => row.attempts)), new Set([1]));
    await assertPersonalised(await postfix().arrivals('idle.test'), 9);
  });

  test('a session that Postfix ends for too many refusals costs no recipient an attempt', async (context) => {
    const { impatientPort, caFile, log } = postfix();
    const relay = { port: impatientPort, auth: credentials, ca: caFile, maxConnections: 1 };
    // Postfix forgets its count of errors when it takes a message, so the unknown ones stand together.
    const list = [makeList('errors', 3), makeList('errors', 12, unknownPrefix, ''), makeList('errors', 3, 'last', '')];
    const folder = openFolder(context, 'errors', relay, list.join(''));
    const logged = log().length;
    const ended = await folder.run(withResults, { env: environment });
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual([summaryIn(ended).accepted, summaryIn(ended).rejected], [6, 12]);
    assert.match(log().slice(logged), /too many errors/, 'the guard: no session was ended');
    assert.deepEqual(new Set(readResults(folder).map((row) => row.attempts)), new Set([1]));
    await assertPersonalised(await postfix().arrivals('errors.test'), 6);
  });
});

interface Relay {
  readonly host?: string;
  readonly port: number;
  readonly secure?: boolean;
  readonly auth: Readonly<Record<string, unknown>>;
  /** PEM file. */
  readonly ca?: string;
  readonly maxConnections?: number;
  readonly rateLimit?: number;
  readonly rateDelta?: string;
}

/** JSON is YAML. */
function writeConfig({ ca, ...relay }: Relay): string {
  const tls = ca === undefined ? {} : { tls: { ca: { file: ca } } };
  return JSON.stringify({ relays: { postfix: { host: '127.0.0.1', ...relay, ...tls } } });
}

/** A campaign of the given name to recipients at NAME.test. */
function openFolder(context: TestContext, name: string, relay: Relay, list?: string): Folder {
  const campaign = {
    name,
    from: 'Shop <hello@mail.example.com>',
    subject: '{{ first_name }}, spring is here',
    text: 'Dear {{ first_name }}, your code is {{ code }}.\n',
    html: '<p>Dear {{ first_name }}, your code is <b>{{ code }}</b>.</p>',
    list: { address: 'email' },
    retry: { first: '1s', factor: 1, jitter: 0 },
  };
  const folder = new Folder(context, { 'campaign.yaml': JSON.stringify(campaign), 'posthaste.yaml': writeConfig(relay) });
  if (list !== undefined) folder.write('list.csv', list);
  return folder;
}

const listHeader = 'email,first_name,code\n';

function makeList(name: string, rows: number, prefix = 'reader', header = listHeader): string {
  return header + Array.from({ length: rows }, (_, row) => listRow(name, prefix, row + 1)).join('');
}

function listRow(name: string, prefix: string, row: number): string {
  return `${prefix}${row}@${name}.test,Zoë ${prefix} ${row} & Co,C-${row * 7}\n`;
}

/** Each of `count` recipients has one message, which says their name and code, came over TLS and from our account. */
async function assertPersonalised(messages: readonly KeptMessage[], count: number): Promise<void> {
  const recipients = messages.flatMap((message) => message.recipients);
  assert.deepEqual([messages.length, recipients.length, new Set(recipients).size], [count, count, count]);
  for (const message of messages) {
    const recipient = message.recipients[0] ?? '';
    const [, prefix = '', row = ''] = /^([a-z]+)(\d+)@/.exec(recipient) ?? [];
    const name = `Zoë ${prefix} ${row} & Co`;
    const code = `C-${Number(row) * 7}`;
    const parsed = await PostalMime.parse(message.data);
    assert.equal(message.reversePath, 'hello@mail.example.com');
    assert.equal(parsed.to?.[0]?.address, recipient);
    assert.equal(parsed.subject, `${name}, spring is here`);
    assert.equal(parsed.text?.trim(), `Dear ${name}, your code is ${code}.`);
    const htmlName = name.replace('&', '&amp;');
    assert.equal(parsed.html?.trim(), `<p>Dear ${htmlName}, your code is <b>${code}</b>.</p>`);
    const received = parsed.headers.find((header) => header.key === 'received')?.value ?? '';
    assert.match(received, /using TLSv1\.[23]\b.*\(Authenticated sender: mailer@peer\.test\).*with ESMTPSA\b/s);
  }
}

function assertFinished(ended: Ended, rows: number): void {
  assert.equal(ended.code, 0, ended.stderr);
  const summary = summaryIn(ended);
  assert.deepEqual([summary.end, summary.rows, summary.accepted], ['finished', rows, rows]);
}

interface ExpectedError {
  readonly exitCode: number;
  readonly code: string;
  readonly message: RegExp;
  readonly hint: RegExp;
}

/** On stdout for programs, on stderr for people. */
function assertError(ended: Ended, expected: ExpectedError): void {
  assert.equal(ended.code, expected.exitCode, ended.stderr);
  const last = ended.stdout.trimEnd().split('\n').at(-1) ?? '';
  const error = JSON.parse(last) as Readonly<Record<string, unknown>>;
  assert.deepEqual([error['type'], error['code'], error['exitCode']], ['error', expected.code, expected.exitCode]);
  for (const text of [String(error['message']), ended.stderr]) assert.match(text, expected.message);
  for (const text of [String(error['hint']), ended.stderr]) assert.match(text, expected.hint);
}

/** In no form in which SMTP carries it: plain, or the base64 of AUTH LOGIN and AUTH PLAIN. */
function assertSecretFree(text: string, pass: string): void {
  const forms = [pass, toBase64(pass), toBase64(`\0${account.user}\0${pass}`)];
  for (const form of forms) assert.ok(!text.includes(form), `"${form}" can be read in what was written`);
}

function toBase64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** Every byte of the state directory, as text. */
function readState(folder: Folder): string {
  const state = join(folder.path, 'state');
  const entries = readdirSync(state, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  assert.ok(files.length > 0, 'the state directory is empty');
  return files.map((file) => readFileSync(file, 'utf8')).join('');
}

interface ResultLine {
  readonly email: string;
  readonly status: string;
  readonly reply_code: number | '';
  readonly enhanced_status: string;
  readonly reply: string;
  readonly classification: string;
  readonly attempts: number;
}

function readResults(folder: Folder): ResultLine[] {
  const lines = folder.read('results.ndjson').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as ResultLine);
}

function runShell(folder: Folder, command: string): Promise<Ended> {
  const path = [join(folder.path, 'bin'), process.env['PATH'] ?? '/usr/bin:/bin'].join(delimiter);
  const options = { cwd: folder.path, env: { ...environment, PATH: path }, maxBuffer: 16_777_216 };
  return new Promise((resolve) => {
    const child = execFile('bash', ['--norc', '-o', 'pipefail', '-c', command], options, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr }),
    );
  });
}
