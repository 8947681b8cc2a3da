// The MX of domains, asked of real DNS servers: one that knows, one that never answers, and none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMxResolver } from '../../src/daemon/mx_resolver.ts';
import { startDns, startSilentDns } from '../peers/dns.ts';
import { findFreePorts } from '../peers/ports.ts';
import { skipUnlessInstalled } from '../peers/required.ts';

const skip = skipUnlessInstalled('dnsmasq');

test(
  'the hosts of a domain come in the order of their preference; no record is an answer, too',
  { skip },
  async (context) => {
    const server = await startDns(context, {
      'shop.example': [
        ['backup.example', 20],
        ['mx1.big.example', 5],
      ],
    });
    const resolver = openMxResolver({ servers: [server.address], timeoutMs: 5000 });
    const hosts = ['mx1.big.example', 'backup.example'];
    assert.deepEqual(await resolver.lookUp('shop.example'), { kind: 'answered', hosts });
    assert.deepEqual(await resolver.lookUp('nowhere.example'), { kind: 'answered', hosts: [] });
    assert.equal((await resolver.lookUp('example.org')).kind, 'failed', 'a refusal is none');
    assert.deepEqual(server.asked(), ['shop.example', 'nowhere.example', 'example.org']);
    assert.deepEqual(await resolver.lookUp('[192.0.2.1]'), { kind: 'answered', hosts: [] });
    assert.deepEqual(await resolver.lookUp('localhost'), { kind: 'answered', hosts: [] });
    assert.equal(server.asked().length, 3, 'what is no domain is nobody’s question');
  },
);

test('the second server is asked where the first is not there', { skip }, async (context) => {
  const server = await startDns(context, { 'shop.example': [['mx1.big.example', 5]] });
  const [free = 0] = await findFreePorts(1);
  const resolver = openMxResolver({ servers: [`127.0.0.1:${free}`, server.address], timeoutMs: 5000 });
  assert.equal((await resolver.lookUp('shop.example')).kind, 'answered');
});

test('who never answers is silent after the timeout, however often it is asked', async (context) => {
  const server = await startSilentDns(context);
  const resolver = openMxResolver({ servers: [server.address], timeoutMs: 300 });
  const startedAt = performance.now();
  const answers = await Promise.all(['a.example', 'b.example'].map((domain) => resolver.lookUp(domain)));
  const ms = performance.now() - startedAt;
  for (const answer of answers) assert.equal(answer.kind, 'silent');
  assert.ok(ms < 2000, `${ms} ms`);
  assert.ok(server.questions() >= 2);
  resolver.close();
});

test('a port where nobody listens is silent at once', async () => {
  const [free = 0] = await findFreePorts(1);
  const resolver = openMxResolver({ servers: [`127.0.0.1:${free}`], timeoutMs: 30_000 });
  assert.equal((await resolver.lookUp('a.example')).kind, 'silent');
});

test('closing ends who waits, and asks nobody any more', async (context) => {
  const server = await startSilentDns(context);
  const resolver = openMxResolver({ servers: [server.address], timeoutMs: 30_000 });
  const waiting = resolver.lookUp('a.example');
  setImmediate(() => resolver.close());
  assert.equal((await waiting).kind, 'silent');
  const before = server.questions();
  assert.equal((await resolver.lookUp('b.example')).kind, 'silent');
  assert.equal(server.questions(), before);
});

test('servers are taken in each form that the configuration takes', () => {
  for (const server of ['192.0.2.1', '192.0.2.1:5353', '2001:db8::1', '[2001:db8::1]:5353'])
    openMxResolver({ servers: [server], timeoutMs: 100 }).close();
});
