// DNS servers for tests: dnsmasq, with records of its own and nothing of the world; and one that never answers.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { Resolver } from 'node:dns/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { keepServer } from './keeper.ts';
import { findFreePorts } from './ports.ts';
import { waitUntil } from './waiting.ts';

export interface DnsServer {
  /** ADDRESS:PORT. */
  readonly address: string;
  /** The domains whose MX it was asked for so far, in order; a question is there once it is answered. */
  asked(): string[];
}

/** `mx`: by domain, its hosts and their preferences. Other domains below `example` do not exist. Ends with the test. */
export async function startDns(
  context: TestContext,
  mx: Readonly<Record<string, readonly (readonly [host: string, preference: number])[]>>,
): Promise<DnsServer> {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-dns-'));
  mkdirSync(join(folder, 'log'));
  const [port = 0] = await findFreePorts(1);
  const records = Object.entries(mx).flatMap(([domain, hosts]) =>
    hosts.map(([host, preference]) => `mx-host=${domain},${host},${preference}`),
  );
  const lines = [
    `port=${port}`,
    'listen-address=127.0.0.1',
    'bind-interfaces',
    'no-resolv',
    'no-hosts',
    'no-poll',
    'log-queries',
    'pid-file',
    // What it does not know of these is not there; all else it refuses to tell.
    'local=/example/',
    'mx-host=ready.example,mx.ready.example,1',
    ...records,
  ];
  writeFileSync(join(folder, 'dnsmasq.conf'), `${lines.join('\n')}\n`);
  context.after(
    keepServer(folder, {
      start: `dnsmasq --keep-in-foreground --user= --log-facility="$1/log/dns.log" --conf-file="$1/dnsmasq.conf"`,
    }),
  );
  const address = `127.0.0.1:${port}`;
  await waitUntil(
    () => answers(address),
    10_000,
    () => readFileSync(join(folder, 'log/start.log'), 'utf8'),
  );
  return { address, asked: () => readAsked(join(folder, 'log/dns.log')) };
}

async function answers(address: string): Promise<boolean> {
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([address]);
  try {
    return (await resolver.resolveMx('ready.example')).length > 0;
  } catch {
    return false;
  }
}

function readAsked(path: string): string[] {
  return [...readFileSync(path, 'utf8').matchAll(/query\[MX\] (\S+) from/g)]
    .map((match) => match[1] ?? '')
    .filter((domain) => domain !== 'ready.example');
}

export interface SilentDns {
  readonly address: string;
  /** Questions so far, those that are asked again among them. */
  questions(): number;
}

/** Takes every question, and answers none. Ends with the test. */
export async function startSilentDns(context: TestContext): Promise<SilentDns> {
  const socket = createSocket('udp4');
  let questions = 0;
  socket.on('message', () => (questions += 1));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  context.after(() => socket.close());
  return { address: `127.0.0.1:${socket.address().port}`, questions: () => questions };
}
