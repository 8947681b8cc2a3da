// Against a real Postfix: TLS, AUTH, refusals and closed sessions as the world's commonest relay does them.
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { summaryIn } from '../cli/posthaste.ts';
import {
  args,
  bareArgs,
  environment,
  makeList,
  openMailing,
  resultArgs,
  runShell,
  writeConfig,
} from './mailing.ts';
import { startPostfix, type Postfix } from './postfix.ts';
import { account, greyPrefix, unknownPrefix } from './policy.ts';
import {
  assertAllAccepted,
  assertEachAttempted,
  assertError,
  assertPersonalised,
  assertSecretFree,
  readResults,
} from './proof.ts';
import { skipUnlessReady } from './required.ts';

const skip = skipUnlessReady(['postfix', 'saslpasswd2', 'openssl', 'bash', 'gzip']);

describe('with a real Postfix', { skip, timeout: 240_000 }, () => {
  let started: Postfix | undefined;
  before(async () => {
    started = await startPostfix();
  });
  after(() => started?.stop());
  const postfix = (): Postfix => started ?? assert.fail('Postfix did not start');

  test('STARTTLS and AUTH PLAIN carry a list of 300, once and personalised to each', async (context) => {
    const { submissionPort: port, caFile: ca, arrivals, log } = postfix();
    const folder = openMailing(context, 'starttls', { port, ca }, makeList('starttls', { reader: 300 }));
    const logged = log().length;
    assertAllAccepted(await folder.run(args, { env: environment }), 300);
    assert.match(log().slice(logged), new RegExp(`sasl_method=PLAIN, sasl_username=${account.user}`));
    await assertPersonalised(await arrivals('starttls.test'), 300);
  });

  test('TLS from the start and AUTH LOGIN carry a list of 300, once and personalised to each', async (context) => {
    const { smtpsPort: port, caFile: ca, arrivals, log } = postfix();
    const auth = { user: { env: 'SMTP_USER' }, pass: { env: 'SMTP_PASS' }, method: 'LOGIN' };
    const relay = { port, secure: true, auth, ca };
    const folder = openMailing(context, 'smtps', relay, makeList('smtps', { reader: 300 }));
    const logged = log().length;
    assertAllAccepted(await folder.run(args, { env: environment }), 300);
    assert.match(log().slice(logged), new RegExp(`sasl_method=LOGIN, sasl_username=${account.user}`));
    await assertPersonalised(await arrivals('smtps.test'), 300);
  });

  test('the password may be in a file', async (context) => {
    const { submissionPort: port, caFile: ca, arrivals } = postfix();
    const auth = { user: account.user, pass: { file: 'password.txt' } };
    const folder = openMailing(context, 'file', { port, auth, ca }, makeList('file', { reader: 3 }));
    folder.write('password.txt', `${account.pass}\n`);
    assertAllAccepted(await folder.run(args), 3);
    await assertPersonalised(await arrivals('file.test'), 3);
  });

  test('the password may be a systemd credential', async (context) => {
    const { submissionPort: port, caFile: ca, arrivals } = postfix();
    const auth = { user: account.user, pass: { credential: 'smtp-password' } };
    const folder = openMailing(
      context,
      'credential',
      { port, auth, ca },
      makeList('credential', { reader: 3 }),
    );
    folder.write('credentials/smtp-password', account.pass);
    chmodSync(join(folder.path, 'credentials/smtp-password'), 0o400);
    const env = { CREDENTIALS_DIRECTORY: join(folder.path, 'credentials') };
    assertAllAccepted(await folder.run(args, { env }), 3);
    await assertPersonalised(await arrivals('credential.test'), 3);
  });

  test('a relay URL may carry the password, percent-encoded', async (context) => {
    const { submissionPort: port, caFile: ca, arrivals } = postfix();
    const folder = openMailing(context, 'url', { port }, makeList('url', { reader: 3 }));
    const userInfo = [account.user, account.pass].map((part) => encodeURIComponent(part)).join(':');
    const url = `smtp+starttls://${userInfo}@127.0.0.1:${port}?ca=${encodeURIComponent(ca)}`;
    const ended = await folder.run([...bareArgs, '--relay', url]);
    assertAllAccepted(ended, 3);
    assertSecretFree(ended, folder, account.pass);
    await assertPersonalised(await arrivals('url.test'), 3);
  });

  test('a wrong password ends with 77, is shown nowhere and loses nobody', async (context) => {
    const { submissionPort: port, caFile: ca, arrivals, log } = postfix();
    const folder = openMailing(context, 'wrong', { port, ca }, makeList('wrong', { reader: 40 }));
    const pass = 'not the "Übung" you know';
    const logged = log().length;
    const refused = await folder.run(args, { env: { ...environment, SMTP_PASS: pass } });
    assertError(refused, {
      exitCode: 77,
      code: 'ERR_RELAY_AUTH',
      message: /535 5\.7\.8/,
      hint: /user and password/,
    });
    assertSecretFree(refused, folder, pass);
    // A relay locks out whoever hammers: each of the five sessions may try once.
    const tries =
      log()
        .slice(logged)
        .match(/authentication failed/g)?.length ?? 0;
    assert.ok(tries >= 1 && tries <= 5, `${tries} tries with a password that is wrong`);
    assert.deepEqual(await arrivals('wrong.test'), []);

    const finished = await folder.run(args, { env: environment });
    assertAllAccepted(finished, 40);
    assertSecretFree(finished, folder, account.pass);
    await assertPersonalised(await arrivals('wrong.test'), 40);
  });

  test('a certificate of an unknown authority ends with 69, before AUTH, and loses nobody', async (context) => {
    const { submissionPort: port, caFile: ca, arrivals, log } = postfix();
    const folder = openMailing(context, 'untrusted', { port }, makeList('untrusted', { reader: 5 }));
    const logged = log().length;
    const refused = await folder.run(args, { env: environment });
    assertError(refused, {
      exitCode: 69,
      code: 'ERR_RELAY_UNAVAILABLE',
      message: /certificate/,
      hint: /tls\.ca/,
    });
    assert.doesNotMatch(log().slice(logged), /sasl_method|authentication failed|auth=|mail=/);
    assert.deepEqual(await arrivals('untrusted.test'), []);

    folder.write('relay.yaml', writeConfig({ port, ca }));
    assertAllAccepted(await folder.run(args, { env: environment }), 5);
    await assertPersonalised(await arrivals('untrusted.test'), 5);
  });

  test('a certificate for another host ends with 69, before AUTH', async (context) => {
    const { smtpsPort: port, caFile: ca, arrivals, log } = postfix();
    const relay = { host: 'localhost', port, secure: true, ca };
    const folder = openMailing(context, 'misnamed', relay, makeList('misnamed', { reader: 5 }));
    const logged = log().length;
    const refused = await folder.run(args, { env: environment });
    assertError(refused, {
      exitCode: 69,
      code: 'ERR_RELAY_UNAVAILABLE',
      message: /localhost/,
      hint: /host name/,
    });
    assert.doesNotMatch(log().slice(logged), /sasl_method|authentication failed|auth=|mail=/);
    assert.deepEqual(await arrivals('misnamed.test'), []);
  });

  test('unknown recipients are rejected with the whole reply, greylisted ones are tried again', async (context) => {
    const { submissionPort: port, caFile: ca, arrivals } = postfix();
    const list = makeList('refused', { reader: 20, [unknownPrefix]: 4, [greyPrefix]: 6 });
    const folder = openMailing(context, 'refused', { port, ca }, list);
    const ended = await folder.run(resultArgs, { env: environment });
    assert.equal(ended.code, 0, ended.stderr);
    const { accepted, rejected, deferred } = summaryIn(ended);
    assert.deepEqual({ accepted, rejected, deferred }, { accepted: 26, rejected: 4, deferred: 0 });

    for (const [email, row] of readResults(folder)) {
      const { status, attempts } = row;
      if (email.startsWith(unknownPrefix)) {
        const reply = `550 5.1.1 <${email}>: Recipient address rejected: User unknown in relay recipient table`;
        assert.deepEqual([status, attempts, row['reply']], ['rejected', 1, reply]);
        assert.deepEqual([row['reply_code'], row['enhanced_status']], [550, '5.1.1']);
        assert.equal(row['classification'], 'no-such-recipient');
      } else {
        const attempt = email.startsWith(greyPrefix) ? 2 : 1;
        assert.deepEqual([email, status, attempts], [email, 'accepted', attempt]);
      }
    }
    const arrived = await arrivals('refused.test');
    await assertPersonalised(arrived, 26);
    const instants = arrived.map((message) => message.receivedAt);
    assert.ok(
      Math.max(...instants) - Math.min(...instants) >= 900,
      'the second attempt came within the first second',
    );
  });

  test('a list comes through a shell pipe', async (context) => {
    const { submissionPort: port, caFile: ca, arrivals } = postfix();
    const folder = openMailing(context, 'pipe', { port, ca }, 'email\nnot-this-list@example.com\n');
    folder.write('list.csv.gz', gzipSync(makeList('pipe', { reader: 300 })));
    const ended = await runShell(folder, `gzip -dc list.csv.gz | posthaste ${args.with(2, '-').join(' ')}`);
    assertAllAccepted(ended, 300);
    await assertPersonalised(await arrivals('pipe.test'), 300);
  });

  test('a pool whose sessions Postfix closes while they wait for a limit goes on', async (context) => {
    const { impatientPort: port, caFile: ca, arrivals, log } = postfix();
    const relay = { port, ca, rateLimit: 3, rateDelta: '2500ms', maxConnections: 2 };
    const folder = openMailing(context, 'idle', relay, makeList('idle', { reader: 9 }));
    const logged = log().length;
    assertAllAccepted(await folder.run(resultArgs, { env: environment }), 9);
    assert.match(log().slice(logged), /timeout after [A-Z-]+ from/, 'Postfix closed no session');
    assertEachAttempted(readResults(folder), 1);
    await assertPersonalised(await arrivals('idle.test'), 9);
  });

  test('a relay that takes fewer connections than we may open gets the list through those it takes', async (context) => {
    const { narrowPort: port, caFile: ca, arrivals, log } = postfix();
    const folder = openMailing(
      context,
      'narrow',
      { port, ca, maxConnections: 8 },
      makeList('narrow', { reader: 300 }),
    );
    const logged = log().length;
    assertAllAccepted(await folder.run(resultArgs, { env: environment }), 300);
    assert.match(
      log().slice(logged),
      /Connection concurrency limit exceeded/,
      'Postfix refused no connection',
    );
    assertEachAttempted(readResults(folder), 1);
    await assertPersonalised(await arrivals('narrow.test'), 300);
  });

  test('a session that Postfix ends for too many refusals costs no recipient an attempt', async (context) => {
    const { impatientPort: port, caFile: ca, arrivals, log } = postfix();
    // Postfix forgets its count of refusals when it takes a message, so the unknown recipients stand together.
    const list = makeList('errors', { reader: 3, [unknownPrefix]: 12, last: 3 });
    const folder = openMailing(context, 'errors', { port, ca, maxConnections: 1 }, list);
    const logged = log().length;
    const ended = await folder.run(resultArgs, { env: environment });
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual([summaryIn(ended).accepted, summaryIn(ended).rejected], [6, 12]);
    assert.match(log().slice(logged), /too many errors/, 'Postfix ended no session');
    assertEachAttempted(readResults(folder), 1);
    await assertPersonalised(await arrivals('errors.test'), 6);
  });
});
