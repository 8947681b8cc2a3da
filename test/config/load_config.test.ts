// The configuration file: what it means, what is refused, and that all is told at once.
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';
import { chooseRelay } from '../../src/config/choose_relay.ts';
import type { SendRelay } from '../../src/daemon/threads.ts';
import { loadConfig } from '../../src/config/load_config.ts';
import type { RelayConfig } from '../../src/config/relay.ts';
import { errorOf, linesOf, makeFolder } from './problems.ts';

const exampleDirectory = resolve(import.meta.dirname, '../../config');

function load(test: TestContext, text: string, env: NodeJS.ProcessEnv = {}) {
  return loadConfig(join(makeFolder(test, { 'p.yaml': text }), 'p.yaml'), env);
}

function refuse(test: TestContext, text: string, env: NodeJS.ProcessEnv = {}): string[] {
  const folder = makeFolder(test, { 'p.yaml': text });
  const error = errorOf(() => loadConfig(join(folder, 'p.yaml'), env));
  assert.equal(error.code, 'ERR_CONFIG_INVALID');
  assert.equal(error.exitCode, 78);
  return linesOf(error, folder);
}

test('a relay of the configuration is a relay of the SMTP client', (t) => {
  const relay: RelayConfig | undefined = load(t, 'relays: { a: { host: localhost } }').relays.get('a');
  const options: SendRelay | undefined = relay;
  assert.equal(options?.name, 'a');
});

test('what the daemon listens on, its inbox, its event log and a warm-up are read, and what is wrong with them is told', (t) => {
  const config = load(
    t,
    'control: { socket: c.sock, mode: "0600" }\ninbox: { directory: in }\nevents: { keepFiles: 3 }\n' +
      'relays: { a: { host: localhost, warmUp: { start: "2026-12-01", timezone: Europe/Berlin, volumes: [50, 100] } } }\n',
  );
  assert.equal(config.control.socketMode, 0o600);
  assert.match(config.control.socketPath, /\/c\.sock$/);
  assert.deepEqual(
    [config.inbox?.settleMs, config.events.keptFiles, config.events.recipients],
    [2000, 3, false],
  );
  assert.deepEqual(config.relays.get('a')?.warmUp, {
    firstDay: Date.UTC(2026, 11, 1),
    zone: 'Europe/Berlin',
    steps: [
      { day: 1, volume: 50 },
      { day: 2, volume: 100 },
    ],
    endDay: 3,
  });
  const lines = refuse(t, 'relays: { a: { host: localhost, warmUp: { start: tomorrow, volumes: [] } } }\n');
  assert.equal(lines.length, 2, lines.join('\n'));
  assert.match(lines.join('\n'), /warmUp\.start .*expected a date such as 2026-12-01/);
});

test('limits of From domains are read as addresses have their domains, and what is none is told', (t) => {
  const { fromDomains } = load(
    t,
    'fromDomains: { Bücher.example: { rate: 5/s, warmUp: { start: "2026-12-01", volumes: [50] } } }\nrelays: { a: { host: localhost } }\n',
  );
  assert.deepEqual(fromDomains, [
    {
      name: 'xn--bcher-kva.example',
      pace: { ...fromDomains[0]?.pace, rates: [{ count: 5, perMs: 1000 }] },
      warmUp: { firstDay: Date.UTC(2026, 11, 1), zone: 'UTC', steps: [{ day: 1, volume: 50 }], endDay: 2 },
    },
  ]);
  const lines = refuse(t, 'fromDomains: { "a b": { rate: 5/s }, c.example: { rate: fast } }\n');
  assert.match(
    lines.join('\n'),
    /a name in fromDomains cannot be used; expected a domain such as mail\.example\.com/,
  );
  assert.match(lines.join('\n'), /fromDomains\.c\.example\.rate/);
});

test('without a file there are defaults and no relay', () => {
  const config = loadConfig(undefined, {});
  assert.equal(config.stateDir, resolve('.posthaste'));
  assert.equal(config.threads, Math.max(1, availableParallelism() - 1));
  assert.deepEqual([config.metrics, config.logLevel, config.relays.size], [undefined, 'info', 0]);
});

test('an empty file is a file of defaults', (t) => {
  assert.deepEqual(load(t, '# nothing yet\n'), loadConfig(undefined, {}));
});

test('the example loads', () => {
  const env = { NEXUSPROMAIL_API_KEY: 'key-1' };
  const config = loadConfig(join(exampleDirectory, 'posthaste.example.yaml'), env);
  assert.deepEqual([...config.relays.keys()], ['primary', 'local']);
  assert.deepEqual(config.relays.get('primary'), {
    name: 'primary',
    host: 'smtp.nexuspromail.com',
    port: 587,
    security: 'starttls',
    auth: { user: 'key-1', pass: 'key-1', method: undefined },
    proxy: undefined,
    maxConnections: 5,
    maxMessages: 100,
    pace: { rates: [{ count: 100, perMs: 1000 }], burst: undefined },
    pipelining: 'auto',
    inFlight: 16,
    clientName: undefined,
    localAddress: undefined,
    tls: { rejectUnauthorized: true },
    connectionTimeoutMs: 120_000,
    greetingTimeoutMs: 30_000,
    commandTimeoutMs: 300_000,
    endOfDataTimeoutMs: 600_000,
  });
  assert.equal(config.relays.get('local')?.security, 'plain');
  assert.deepEqual(config.metrics, { host: '127.0.0.1', port: 9464 });
  assert.deepEqual(config.warnings, []);
});

test("nodemailer's own option values mean what they mean there", (t) => {
  const text = `relays: { a: { host: h.example, port: 2525, pool: true, rateDelta: 2000, rateLimit: 7,
    connectionTimeout: 1500, greetingTimeout: 10s, socketTimeout: 1m, name: me.example, localAddress: 192.0.2.1,
    auth: { type: login, user: u, pass: p, method: LOGIN } } }`;
  const relay = load(t, text).relays.get('a');
  assert.partialDeepStrictEqual(relay, {
    port: 2525,
    pace: { rates: [{ count: 7, perMs: 2000 }], burst: undefined },
    connectionTimeoutMs: 1500,
    greetingTimeoutMs: 10_000,
    commandTimeoutMs: 60_000,
    clientName: 'me.example',
    localAddress: '192.0.2.1',
    auth: { user: 'u', pass: 'p', method: 'LOGIN' },
  });
});

test('a rateLimit without rateDelta is per second, as in nodemailer', (t) => {
  const relay = load(t, 'relays: { a: { host: localhost, rateLimit: 7 } }').relays.get('a');
  assert.deepEqual(relay?.pace.rates, [{ count: 7, perMs: 1000 }]);
});

const securities: readonly (readonly [what: string, relay: string, security: string, port: number])[] = [
  ['a relay elsewhere', 'host: h.example', 'starttls', 587],
  ['secure', 'host: h.example, secure: true', 'tls', 465],
  ['secure on another port', 'host: h.example, secure: true, port: 2465', 'tls', 2465],
  ['port 465', 'host: h.example, port: 465', 'tls', 465],
  ['port 465 with an explicit secure: false', 'host: h.example, port: 465, secure: false', 'starttls', 465],
  ['loopback by name', 'host: localhost', 'plain', 587],
  ['loopback by address', 'host: 127.8.9.1', 'plain', 587],
  ['IPv6 loopback', "host: '::1'", 'plain', 587],
  ['loopback with auth', 'host: localhost, auth: { user: u, pass: p }', 'starttls', 587],
  ['loopback with requireTLS', 'host: localhost, requireTLS: true', 'starttls', 587],
  ['loopback with a certificate name', 'host: localhost, tls: { servername: h.example }', 'starttls', 587],
  ['loopback with ignoreTLS', 'host: localhost, ignoreTLS: true', 'plain', 587],
  ['tls none elsewhere', 'host: h.example, tls: none', 'plain', 587],
  ['tls none and ignoreTLS elsewhere', 'host: h.example, tls: none, ignoreTLS: true', 'plain', 587],
  ['a service', 'service: gmail', 'tls', 465],
  ['a service by its domain', 'service: outlook.com', 'starttls', 587],
  ['a service without TLS from the start', 'service: SendGrid, port: 2525', 'starttls', 2525],
  ['a service on another port', 'service: gmail, port: 587', 'starttls', 587],
  ['a service on this machine', 'service: Maildev', 'plain', 1025],
  ['loopback behind a proxy', "host: localhost, proxy: 'http://p.example:3128'", 'starttls', 587],
  ['a host that only looks like loopback', 'host: 127.example.com', 'starttls', 587],
  ['a host that only begins like loopback', 'host: localhost.example.com', 'starttls', 587],
];

for (const [what, relay, security, port] of securities) {
  test(`${what} is ${security} on port ${port}`, (t) => {
    const loaded = load(t, `relays: { a: { ${relay} } }`).relays.get('a');
    assert.deepEqual([loaded?.security, loaded?.port], [security, port]);
  });
}

const refused: readonly (readonly [what: string, relay: string, line: string])[] = [
  [
    'tls none with auth',
    'host: localhost, tls: none, auth: { user: u, pass: p }',
    'relays.a.tls sends credentials without TLS; expected no auth, or TLS',
  ],
  [
    'ignoreTLS with auth',
    'host: localhost, ignoreTLS: true, auth: { user: u, pass: p }',
    'relays.a.ignoreTLS sends credentials without TLS; expected no auth, or TLS',
  ],
  [
    'ignoreTLS elsewhere',
    'host: h.example, ignoreTLS: true',
    'relays.a.ignoreTLS asks for plain text to a host that is not loopback; expected TLS, or tls "none" as well if plain text is really wanted',
  ],
  [
    'tls none with secure',
    'host: h.example, secure: true, tls: none',
    'relays.a.tls is "none", which contradicts secure',
  ],
  [
    'tls none with requireTLS',
    'host: h.example, requireTLS: true, tls: none',
    'relays.a.tls is "none", which contradicts requireTLS',
  ],
  [
    'an unchecked certificate',
    'host: h.example, tls: { rejectUnauthorized: false }',
    'relays.a.tls.rejectUnauthorized is false, so anybody could pose as the relay; expected tls.ca with the relay\'s certificate, or "development: true"',
  ],
  [
    'rate with rateLimit',
    'host: h.example, rate: 1/s, rateLimit: 5',
    'relays.a.rateLimit and rate are two limits; expected one of them',
  ],
  [
    'rateDelta alone',
    'host: h.example, rateDelta: 5',
    'relays.a.rateDelta says nothing without rateLimit; expected rateLimit with it, or rate instead',
  ],
  ['pool: false', 'host: h.example, pool: false', 'relays.a.pool cannot be used; expected true'],
  [
    'a password that is a number',
    'host: h.example, auth: { user: u, pass: 123 }',
    'relays.a.auth.pass is a number; expected text, { env: NAME }, { file: PATH } or { credential: NAME }',
  ],
  [
    'a password in two places',
    'host: h.example, auth: { user: u, pass: { env: A, file: b } }',
    'relays.a.auth.pass does not name exactly one place; expected text, { env: NAME }, { file: PATH } or { credential: NAME }',
  ],
  [
    'a rate that is none',
    'host: h.example, rate: 100/sec',
    'relays.a.rate cannot be used; expected a rate such as 100/s, 6000/m, 20000/h or 50000/d, or a list of them with different units such as [20/s, 50000/d]',
  ],
  [
    'a port that is none',
    'host: h.example, port: 65536',
    'relays.a.port cannot be used; expected a whole number from 1 to 65535',
  ],
  [
    'pipelining: of',
    'host: h.example, pipelining: of',
    'relays.a.pipelining cannot be used; expected one of auto, off, standard, deep; did you mean "off"?',
  ],
  [
    'pipelining: false',
    'host: h.example, pipelining: false',
    'relays.a.pipelining cannot be used; expected one of auto, off, standard, deep; did you mean "off"?',
  ],
  [
    'tls: nonw',
    'host: h.example, tls: nonw',
    'relays.a.tls is text; expected none or a map; did you mean "none"?',
  ],
  [
    'an unknown tls key',
    'host: h.example, tls: { serverName: x }',
    'unknown key "serverName" in relays.a.tls; did you mean "servername"?',
  ],
  [
    'a CA file that is missing',
    'host: h.example, tls: { ca: { file: no.pem } }',
    'relays.a.tls.ca.file cannot be read (ENOENT)',
  ],
  [
    'a CA file without certificates',
    'host: h.example, tls: { ca: { file: p.yaml } }',
    'relays.a.tls.ca.file names a file without certificates; expected a PEM file',
  ],
  ['no host', 'port: 25', 'relays.a.host is missing; expected a host name or an IP address'],
];

for (const [what, relay, line] of refused) {
  test(`${what} is refused`, (t) => {
    const lines = refuse(t, `relays: { a: { ${relay} } }`);
    assert.deepEqual(
      lines.map((one) => one.replace(/^p\.yaml:1:\d+: /, '')),
      [line],
    );
  });
}

test('every problem is told at once, in the order of the file, with its place', (t) => {
  const lines = refuse(
    t,
    `thread: 3
log:
  level: verbose
metrics: { listen: nowhere }
relays:
  one:
    hots: h.example
    maxConnection: 5
    auth: { user: "\${NO_SUCH}", pass: { file: no.txt } }
  two:
    host: two.example
    tls: { rejectUnauthorized: false }
  "th ree": { host: h.example }
  four:
`,
  );
  assert.deepEqual(lines, [
    'p.yaml:1:1: unknown key "thread"; did you mean "threads"?',
    'p.yaml:3:10: log.level cannot be used; expected one of trace, debug, info, warn, error, fatal, silent',
    'p.yaml:4:20: metrics.listen cannot be used; expected HOST:PORT such as 127.0.0.1:9464, or a port',
    'p.yaml:7:5: unknown key "hots" in relays.one; did you mean "host"?',
    'p.yaml:8:5: unknown key "maxConnection" in relays.one; did you mean "maxConnections"?',
    'p.yaml:9:19: relays.one.auth.user needs the environment variable NO_SUCH, which is not set',
    'p.yaml:9:39: relays.one.auth.pass needs the file no.txt, which cannot be read (ENOENT)',
    'p.yaml:12:32: relays.two.tls.rejectUnauthorized is false, so anybody could pose as the relay; expected tls.ca with the relay\'s certificate, or "development: true"',
    'p.yaml:13:3: a name in relays cannot be used; expected at most 63 letters, digits, "-", "_" and "."',
    'p.yaml:14:8: relays.four is empty; expected a map',
  ]);
});

test('a variable that is not set is told once, whatever else its value had to be', (t) => {
  assert.deepEqual(refuse(t, 'relays: { a: { host: "${NO_SUCH}" } }'), [
    'p.yaml:1:22: relays.a.host needs the environment variable NO_SUCH, which is not set',
  ]);
});

test('rows are kept forever unless the file names a time from an hour on', (t) => {
  assert.equal(load(t, '').keepMs, undefined);
  assert.equal(load(t, 'keep: forever').keepMs, undefined);
  assert.equal(load(t, 'keep: 30d').keepMs, 30 * 86_400_000);
  for (const wrong of ['0s', '59m', '36501d', 'never', '30 days'])
    assert.deepEqual(refuse(t, `keep: ${wrong}`), [
      'p.yaml:1:7: keep cannot be used; expected forever or a duration from 1h to 36500d, such as 30d',
    ]);
});

test('a key that is near no other is told with those there are', (t) => {
  assert.deepEqual(refuse(t, 'colour: red'), [
    'p.yaml:1:1: unknown key "colour"; expected one of state, durability, keep, threads, drainTimeout, rate, burst, bytes, connectionRate, lanes, metrics, log, control, inbox, events, relays, fromDomains, dkim',
  ]);
});

test('after a syntax error only that is told', (t) => {
  const lines = refuse(t, 'relays:\n  a: { host: h.example\nthreads: x\n');
  assert.equal(
    lines.every((line) => line.startsWith('p.yaml:') && !line.includes('threads')),
    true,
    lines.join('\n'),
  );
});

test('a key that occurs twice is refused', (t) => {
  assert.deepEqual(refuse(t, 'threads: 1\nthreads: 2\n'), ['p.yaml:2:1: this key occurs twice in its map']);
});

test('a configuration that is a list is refused', (t) => {
  assert.deepEqual(refuse(t, '- a\n'), ['p.yaml:1:1: the file is a list; expected a map']);
});

test('a configuration that does not exist ends with 78', () => {
  const error = errorOf(() => loadConfig('no/such.yaml', {}));
  assert.deepEqual([error.code, error.exitCode], ['ERR_CONFIG_READ', 78]);
  assert.equal(error.message, 'cannot read the configuration no/such.yaml: it does not exist');
});

test('a configuration that is not UTF-8 is refused', (t) => {
  const path = join(makeFolder(t, { 'p.yaml': Uint8Array.of(0x61, 0xff) }), 'p.yaml');
  assert.match(errorOf(() => loadConfig(path, {})).message, /it is not UTF-8 text$/);
});

test('a byte order mark is no problem', (t) => {
  assert.equal(load(t, '\ufeffthreads: 3\n').threads, 3);
});

test('an unchecked certificate of a development relay is warned of', (t) => {
  const config = load(
    t,
    'relays: { a: { host: h.example, development: true, tls: { rejectUnauthorized: false } } }',
  );
  assert.equal(config.relays.get('a')?.tls.rejectUnauthorized, false);
  assert.equal(config.warnings.length, 1);
  assert.match(config.warnings[0] ?? '', /relay a: its certificate is not checked/);
});

test('plain text to another machine is warned of', (t) => {
  assert.match(load(t, 'relays: { a: { host: h.example, tls: none } }').warnings[0] ?? '', /without TLS/);
});

test('what the file names is relative to the file, what the command line names to the working directory', (t) => {
  const folder = makeFolder(t, { 'etc/p.yaml': 'state: ../var' });
  const path = join(folder, 'etc/p.yaml');
  assert.equal(loadConfig(path, {}).stateDir, join(folder, 'var'));
  assert.equal(loadConfig(path, {}, { state: 'here' }).stateDir, resolve('here'));
});

test('the command line wins over the file', (t) => {
  const path = join(
    makeFolder(t, { 'p.yaml': 'metrics: { listen: 1 }\nrelays: { a: { host: localhost } }' }),
    'p.yaml',
  );
  const config = loadConfig(path, {}, { metrics: '[::1]:2', relay: 'smtp://127.0.0.1:2525' });
  assert.deepEqual(config.metrics, { host: '::1', port: 2 });
  assert.equal(chooseRelay(config, 'a').port, 2525);
  assert.match(
    errorOf(() => loadConfig(path, {}, { metrics: 'x' })).message,
    /^command line: the address for metrics cannot be used/,
  );
});

test('a campaign without a relay goes to the only one', (t) => {
  const one = load(t, 'relays: { a: { host: localhost } }');
  const two = load(t, 'relays: { primary: { host: localhost }, backup: { host: localhost } }');
  assert.equal(chooseRelay(one, undefined).name, 'a');
  assert.equal(chooseRelay(two, 'backup').name, 'backup');
  assert.equal(errorOf(() => chooseRelay(two, undefined)).code, 'ERR_RELAY_NOT_CHOSEN');
  const error = errorOf(() => chooseRelay(two, 'primry'));
  assert.deepEqual([error.code, error.exitCode], ['ERR_RELAY_UNKNOWN', 78]);
  assert.match(error.message, /did you mean "primary"\?$/);
});
