// Lanes by the MX of domains: the real program, a real DNS server, and what the relay sees of it.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { startDns, startSilentDns, type DnsServer } from '../peers/dns.ts';
import { skipUnlessInstalled } from '../peers/required.ts';
import { waitUntil } from '../peers/waiting.ts';
import { openRelay, takenBy } from './lists.ts';
import { namedInDoubt } from '../crash/mailing.ts';
import { campaignYaml, Folder, summaryIn, type Ended } from './posthaste.ts';

const skip = skipUnlessInstalled('dnsmasq');
const args = ['send', 'campaign.yaml', 'list.csv', '--config', 'posthaste.yaml', '--json'];

const big = [['mx1.big.example', 10]] as const;
const own = [['mail.own.example', 10]] as const;

/** `lanes` is the inside of a YAML map. */
function folderFor(context: TestContext, port: number, lanes: string, list: string, more = ''): Folder {
  const relay = `relays: { box: { host: 127.0.0.1, port: ${port} } }`;
  return new Folder(context, {
    'campaign.yaml': campaignYaml,
    'list.csv': list,
    'posthaste.yaml': `state: state\n${relay}\nlanes: { ${lanes} }\n${more}`,
  });
}

/** `rows` recipients, of each domain in turn. */
function listOf(domains: readonly string[], rows: number): string {
  const lines = Array.from(
    { length: rows },
    (_, index) => `reader${index + 1}@${domains[index % domains.length]},N${index + 1}`,
  );
  return `email,first_name\n${lines.join('\n')}\n`;
}

/** Lanes of one operator without limits, by this DNS. */
function bigOnly(address: string, more = ''): string {
  return `mx: { servers: ["${address}"]${more} }, groups: { big: { domains: [big.example], mx: ["*.big.example"] } }`;
}

function domainsOf(addresses: readonly string[]): string[] {
  return addresses.map((address) => address.slice(address.indexOf('@') + 1));
}

test(
  'domains at one operator share its lane’s limit, whatever their names; those at others are not held',
  { skip },
  async (context) => {
    const relay = await openRelay(context);
    const dns = await startDns(context, {
      'shop.example': big,
      'club.example': big,
      'free.example': own,
    });
    const lanes = `mx: { servers: ["${dns.address}"] }, groups: { big: { domains: [big.example], mx: ["*.big.example"], rate: 4/h, burst: 4 } }`;
    const domains = ['big.example', 'shop.example', 'free.example', 'club.example', 'none.example'];
    const folder = folderFor(
      context,
      relay.port,
      lanes,
      listOf(domains, 100),
      'metrics: { listen: "127.0.0.1:0" }\n',
    );
    const running = folder.start(args);
    const free = (): number =>
      domainsOf(takenBy(relay)).filter((domain) => ['free.example', 'none.example'].includes(domain)).length;
    await waitUntil(
      () => free() === 40 || running.child.exitCode !== null,
      30_000,
      () => running.text(),
    );
    const [, url = ''] = /metrics on (\S+)/.exec(running.text()) ?? [];
    const granted = 'posthaste_limit_grants_total{limit="lane big"} 4';
    let metrics = '';
    const hasGranted = async (): Promise<boolean> => {
      metrics = await (await fetch(url)).text();
      return metrics.includes(granted);
    };
    await waitUntil(hasGranted, 10_000, () => metrics);
    assert.doesNotMatch(metrics, /lane="(?:shop|club|free)/);
    assert.match(metrics, /^posthaste_mx_look_ups_total\{result="operator"\} 2$/m);
    assert.match(metrics, /^posthaste_mx_look_ups_total\{result="other"\} 2$/m);
    assert.match(metrics, /^posthaste_lane_outcomes_total\{lane="other",kind="accepted"\} 40$/m);
    running.child.kill('SIGTERM');
    const ended = await running.ended;
    assert.equal(ended.code, 75, ended.stderr);
    assert.match(summaryIn(ended).limitedBy, /lane big 4\/h/);
    const held = domainsOf(takenBy(relay)).filter(
      (domain) => !['free.example', 'none.example'].includes(domain),
    );
    assert.ok(held.length <= 4, held.join());
    const named = domains.filter((domain) => domain !== 'big.example');
    assert.deepEqual(dns.asked().toSorted(), named.toSorted(), 'once for each domain that no lane names');
  },
);

test(
  'the DNS is asked where the switch is on, and not at all where it is off',
  { skip: skipUnlessInstalled('strace') },
  async (context) => {
    const relay = await openRelay(context);
    const askedBy = async (mx: string): Promise<boolean> => {
      const lanes = `mx: ${mx}, groups: { big: { domains: [big.example], mx: ["*.big.example"] } }`;
      const folder = folderFor(context, relay.port, lanes, listOf(['a.example', 'b.example'], 20));
      const ended = await folder.run(args, {
        under: ['strace', '-f', '-qq', '-e', 'trace=%network', '-o', 'trace'],
      });
      assert.equal(summaryIn(ended).accepted, 20, ended.stderr);
      return folder.read('trace').includes('htons(53)');
    };
    // The system's servers may be there or not: that they are asked shows that the trace would tell.
    assert.equal(await askedBy('{ timeout: 100ms }'), true);
    assert.equal(await askedBy('false'), false);
  },
);

test('a DNS that never answers costs its timeout, and not once a domain; it is told twice, and everybody is sent to', async (context) => {
  const relay = await openRelay(context);
  const dns = await startSilentDns(context);
  const lanes = bigOnly(dns.address, ', timeout: 300ms');
  const domains = Array.from({ length: 3000 }, (_, index) => `d${index}.example`);
  const folder = folderFor(context, relay.port, lanes, listOf(domains, 3000));
  const ended = await folder.run(args);
  assert.equal(summaryIn(ended).accepted, 3000, ended.stderr);
  assert.ok(dns.questions() < 200, `${dns.questions()} questions`);
  assert.equal(ended.stderr.match(/MX look-up failed/g)?.length, 1, ended.stderr);
  assert.equal(ended.stderr.match(/the DNS is silent/g)?.length, 1, ended.stderr);
});

/** A list from a pipe that ends within a line is refused, and what was stored of it stays. */
async function sendHalf(folder: Folder, half: string): Promise<Ended> {
  const ended = await folder.run(args.with(2, '-'), { stdin: half.replace(/\n$/, '') });
  assert.equal(ended.code, 65, ended.stderr);
  assert.match(ended.stderr, /cut off/);
  return ended;
}

test(
  'half read, a list goes on with what the DNS says then: nobody is lost, and nobody gets it twice',
  { skip },
  async (context) => {
    const relay = await openRelay(context);
    const rows = 60_000;
    const domains = Array.from({ length: 500 }, (_, index) => `d${index}.example`);
    const at = (isBig: (index: number) => boolean) =>
      Object.fromEntries(domains.map((domain, index) => [domain, isBig(index) ? big : own]));
    const [one, other] = [
      await startDns(
        context,
        at((index) => index % 2 === 0),
      ),
      await startDns(
        context,
        at((index) => index % 3 === 0),
      ),
    ];
    const list = listOf(domains, rows);
    const folder = folderFor(context, relay.port, bigOnly(one.address), list);
    const useDns = ({ address }: DnsServer): void =>
      folder.write('posthaste.yaml', folder.read('posthaste.yaml').replace(/127\.0\.0\.1:\d+/, address));
    const doubted = new Set<string>();
    const noteDoubted = ({ stderr }: Ended): void => {
      for (const { address } of namedInDoubt(stderr)) doubted.add(address);
    };
    for (const [share, dns] of [
      [0.2, one],
      [0.5, other],
      [0.8, one],
    ] as const) {
      useDns(dns);
      noteDoubted(await sendHalf(folder, list.slice(0, list.indexOf('\n', list.length * share))));
    }
    useDns(other);
    const running = folder.start(args);
    const taken = takenBy(relay).length;
    const isSending = (): boolean => takenBy(relay).length > taken;
    await waitUntil(
      () => isSending() || running.child.exitCode !== null,
      30_000,
      () => running.text(),
    );
    running.child.kill('SIGKILL');
    noteDoubted(await running.ended);
    useDns(one);
    const ended = await folder.run(args);
    noteDoubted(ended);
    assert.equal(ended.code, 0, ended.stderr);
    const { accepted, duplicate, invalid } = summaryIn(ended);
    assert.deepEqual([accepted, duplicate, invalid], [rows, 0, 0]);
    assert.equal(new Set(takenBy(relay)).size, rows);
    const twice = takenBy(relay)
      .toSorted()
      .filter((address, index, all) => all[index - 1] === address);
    assert.deepEqual(
      twice.filter((address) => !doubted.has(address)),
      [],
    );
    const audit = await folder.run(['audit', 'spring', '--config', 'posthaste.yaml']);
    assert.equal(audit.code, 0, audit.stdout);
    assert.match(audit.stdout, /it adds up/);
  },
);

test(
  'half read, a list that was changed is refused, though its lanes may change',
  { skip },
  async (context) => {
    const relay = await openRelay(context);
    const dns = await startDns(context, { 'shop.example': big });
    const list = listOf(['shop.example', 'free.example'], 6000);
    const folder = folderFor(context, relay.port, bigOnly(dns.address), list);
    await sendHalf(folder, list.slice(0, list.indexOf('\n', list.length * 0.9)));
    for (const changed of [
      list.replace('reader2@', 'other2@'),
      list.replace('reader2@free.example', 'nobody'),
      list.replace('reader2@free.example,N2\n', ''),
      list.split('\n').slice(0, 10).join('\n'),
    ]) {
      folder.write('list.csv', changed);
      const ended = await folder.run(args);
      assert.equal(ended.code, 65, ended.stderr);
      assert.match(ended.stderr, /was begun with another list/);
    }
    folder.write('list.csv', list);
    assert.equal(summaryIn(await folder.run(args)).accepted, 6000);
    assert.equal(new Set(takenBy(relay)).size, 6000);
  },
);

test(
  'who waited for a batch to fill may be in another one, and is stored with what comes behind',
  { skip },
  async (context) => {
    const relay = await openRelay(context);
    const huge = [['mx1.huge.example', 10]] as const;
    const [apart, together] = [
      await startDns(context, { 'a.example': big, 'b.example': huge }),
      await startDns(context, { 'a.example': big, 'b.example': big }),
    ];
    // No batch of 250 comes of the 200 of each, until they are of one lane; the last of them come when much is stored.
    const parts = [
      listOf(['a.example'], 200),
      listOf(['b.example'], 190).replaceAll('reader', 'b'),
      listOf(['c.example'], 15_000).replaceAll('reader', 'c'),
      listOf(['b.example'], 10).replaceAll('reader', 'late'),
      listOf(['c.example'], 14_600).replaceAll('reader', 'd'),
    ];
    const lines = parts.flatMap((text) => text.trimEnd().split('\n').slice(1));
    const list = `${['email,first_name', ...lines].join('\n')}\n`;
    const lanes = `mx: { servers: ["${apart.address}"] }, groups: { big: { mx: ["*.big.example"] }, huge: { mx: ["*.huge.example"] } }`;
    const folder = folderFor(context, relay.port, lanes, list);
    await sendHalf(folder, list.slice(0, list.indexOf('\n', list.length * 0.8)));
    folder.write('posthaste.yaml', folder.read('posthaste.yaml').replace(apart.address, together.address));
    const ended = await folder.run(args);
    assert.equal(summaryIn(ended).accepted, 30_000, ended.stderr);
    assert.equal(new Set(takenBy(relay)).size, 30_000);
  },
);

test('later lists are half read in the same way', { skip }, async (context) => {
  const relay = await openRelay(context);
  const dns = await startDns(context, { 'shop.example': big });
  const domains = ['shop.example', 'free.example'];
  const [first, later] = [listOf(domains, 3000), listOf(domains, 30_000)];
  const folder = folderFor(context, relay.port, bigOnly(dns.address), first);
  assert.equal(summaryIn(await folder.run(args)).accepted, 3000);
  folder.write('list.csv', later);
  const running = folder.start(args);
  await waitUntil(
    () => takenBy(relay).length > 3000,
    30_000,
    () => running.text(),
  );
  running.child.kill('SIGKILL');
  await running.ended;
  const ended = await folder.run(args);
  assert.equal(summaryIn(ended).accepted, 30_000, ended.stderr);
  assert.equal(new Set(takenBy(relay)).size, 30_000);
});

test('rows that are sent again are in the lane of their domain’s operator', { skip }, async (context) => {
  const relay = await openRelay(context, { faults: [parseFault('rcpt first: 550 5.1.1 who')] });
  const dns = await startDns(context, { 'shop.example': big, 'free.example': own });
  const lanes = `mx: { servers: ["${dns.address}"] }, groups: { big: { mx: ["*.big.example"], rate: 2/h, burst: 2 } }`;
  const folder = folderFor(context, relay.port, lanes, listOf(['shop.example', 'free.example'], 10));
  const limited = folder.read('posthaste.yaml');
  folder.write('posthaste.yaml', limited.replace(/^lanes.*\n/m, ''));
  assert.equal(summaryIn(await folder.run(args)).rejected, 10);
  folder.write('posthaste.yaml', limited);
  const running = folder.start(args.with(0, 'retry').toSpliced(2, 1, '--only', 'rejected'));
  const count = (domain: string): number => domainsOf(takenBy(relay)).filter((one) => one === domain).length;
  const isOver = (): boolean => count('free.example') === 5 && count('shop.example') === 2;
  await waitUntil(
    () => isOver() || running.child.exitCode !== null,
    30_000,
    () => running.text(),
  );
  running.child.kill('SIGTERM');
  const ended = await running.ended;
  assert.equal(ended.code, 75, ended.stderr);
  assert.deepEqual([count('free.example'), count('shop.example')], [5, 2]);
});

test('a DNS server that is none is told with its place, and what one looks like', async (context) => {
  const lanes = 'mx: { servers: [dns.example.com] }, groups: { gmail: {} }';
  const folder = folderFor(context, 25, lanes, listOf(['a.example'], 1));
  const ended = await folder.run(args);
  assert.equal(ended.code, 78);
  assert.match(
    ended.stderr,
    /posthaste\.yaml:3:26: lanes\.mx\.servers\[0\] cannot be used; expected an IP address such as 192\.0\.2\.1/,
  );
  assert.match(ended.stderr, /docs\/reference\.md/);
});
