// Lanes by MX in the daemon: they come with a reload, and status says what limits a campaign.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDns } from '../peers/dns.ts';
import { skipUnlessInstalled } from '../peers/required.ts';
import { waitUntil } from '../peers/waiting.ts';
import { openServing } from './serving.ts';

test(
  'the look-up comes with a reload: the next list is in its operator’s lane, and status names that limit',
  { skip: skipUnlessInstalled('dnsmasq') },
  async (context) => {
    const dns = await startDns(context, { 'example.com': [['mx.big.example', 1]] });
    const groups = 'groups: { big: { domains: [big.example], mx: ["*.big.example"], rate: 3/h, burst: 3 } }';
    const serving = await openServing(context, 20, { config: `lanes: { ${groups} }\n` });
    await serving.start();
    await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
    await serving.until(({ state }) => state === 'finished');
    assert.deepEqual(dns.asked(), []);
    const config = serving.folder.read('posthaste.yaml');
    const withMx = config.replace('lanes: {', `lanes: { mx: { servers: ["${dns.address}"] },`);
    serving.folder.write('posthaste.yaml', withMx);
    assert.match((await serving.run(['reload'])).stderr, /changed: lanes/);
    await serving.ok(['submit', 'campaign.yaml', 'list.csv', '--as', 'later']);
    await serving.until(({ binds = '' }) => binds.startsWith('lane big 3/h'), 'later');
    assert.match(await serving.ok(['status', 'later']), /lane big 3\/h/);
    await waitUntil(
      () => serving.sandbox.messages().length === 23,
      30_000,
      () => 'three more messages',
    );
    assert.deepEqual(dns.asked(), ['example.com']);
    assert.equal((await serving.stop()).code, 0);
    assert.equal(serving.sandbox.messages().length, 23);
  },
);
