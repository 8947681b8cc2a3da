// A relay as a URL: smtp://, smtp+starttls:// and smtps://, with relay keys as query parameters.
import { ExitCode, type PosthasteError } from '../base/error.ts';
import { parsePart, quoteWord } from './issues.ts';
import { failureOf, type Origin, type Path, type Problem } from './problem.ts';
import { completeRelay, type RelayConfig } from './relay.ts';
import { relaySchema } from './relay_schema.ts';
import { suggestWord } from './suggest.ts';

/** What a scheme says about TLS, in relay keys. `smtp:` is plain text, so the rules of `ignoreTLS` hold for it. */
const schemes: Readonly<Record<string, Readonly<Record<string, boolean>>>> = {
  'smtp:': { ignoreTLS: true },
  'smtp+starttls:': { requireTLS: true },
  'smtps:': { secure: true },
};

/** The relay key that a query parameter sets: most have the key's own name. */
const parameters: Readonly<Record<string, Path>> = {
  maxConnections: ['maxConnections'],
  maxMessages: ['maxMessages'],
  rate: ['rate'],
  bytes: ['bytes'],
  connectionRate: ['connectionRate'],
  rateLimit: ['rateLimit'],
  rateDelta: ['rateDelta'],
  pipelining: ['pipelining'],
  inFlight: ['inFlight'],
  name: ['name'],
  localAddress: ['localAddress'],
  connectionTimeout: ['connectionTimeout'],
  greetingTimeout: ['greetingTimeout'],
  socketTimeout: ['socketTimeout'],
  endOfDataTimeout: ['endOfDataTimeout'],
  pool: ['pool'],
  development: ['development'],
  method: ['auth', 'method'],
  tls: ['tls'],
  ca: ['tls', 'ca', 'file'],
  servername: ['tls', 'servername'],
  rejectUnauthorized: ['tls', 'rejectUnauthorized'],
  minVersion: ['tls', 'minVersion'],
  cert: ['tls', 'cert', 'file'],
  key: ['tls', 'key', 'file'],
  passphrase: ['tls', 'passphrase'],
  proxy: ['proxy'],
};

/**
 * Parses `smtps://user:password@host:port?maxConnections=5`; user and password are percent-encoded, `ca` is a
 * path relative to the working directory. The relay's name is its host. Throws ERR_RELAY_URL with all problems;
 * no error shows user or password.
 */
export function parseRelayUrl(url: string): RelayConfig {
  const problems: Problem[] = [];
  const place = { file: `relay URL ${maskUrl(url)}` };
  const parsed = splitUrl(url, (problem) => problems.push({ place, ...problem }));
  if (parsed === undefined) throw urlFailure(problems);
  const value = readRelay(parsed, (problem) => problems.push({ place, ...problem }));
  const origin: Origin = { value, place: () => place, nameOf: nameInUrl };
  const written = parsePart({ schema: relaySchema, origin, path: [] }, value, problems);
  if (written === undefined) throw urlFailure(problems);
  const around = { directory: '.', env: {} };
  const relay = completeRelay({
    name: written.host ?? parsed.hostname,
    written,
    origin,
    path: [],
    around,
    problems,
  });
  if (relay === undefined || problems.length > 0) throw urlFailure(problems);
  return relay;
}

/**
 * The URL without what may be secret: everything from the scheme to the last "@" (a password may hold an
 * "@", "/", "?" or "#" that should have been encoded), and the values of parameters.
 */
export function maskUrl(url: string): string {
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.exec(url)?.[0];
  if (scheme === undefined || !Object.hasOwn(schemes, scheme.slice(0, -2).toLowerCase()))
    return '(not shown)';
  const rest = url.slice(scheme.length);
  const at = rest.lastIndexOf('@');
  const host = /^[A-Za-z0-9._:[\]-]*/.exec(rest.slice(at + 1))?.[0] ?? '';
  // Without "@" a password that was cut off may stand where the port does.
  return at === -1 ? `${scheme}${host.replace(/:(?!\d{1,5}$)[^\]]*$/, ':…')}` : `${scheme}***@${host}`;
}

/** How the URL's author knows a relay key. */
function nameInUrl(path: Path): string {
  const name = path.join('.');
  const scheme = Object.entries(schemes).find(([, keys]) => Object.hasOwn(keys, name))?.[0];
  if (scheme !== undefined) return `${scheme}//`;
  const parameter = Object.entries(parameters).find(([, key]) => key.join('.') === name)?.[0];
  return parameter === undefined ? `its ${name}` : `parameter ${parameter}`;
}

type Tell = (problem: Omit<Problem, 'place'>) => void;

function splitUrl(url: string, tell: Tell): URL | undefined {
  const encoding =
    'user and password percent-encoded ("@" as %40, "/" as %2F, "?" as %3F, "#" as %23, ":" as %3A)';
  const scheme = /^[^:]*:/.exec(url)?.[0].toLowerCase() ?? '';
  if (!Object.hasOwn(schemes, scheme)) {
    tell({ what: 'this is no URL of a relay', expected: 'smtp://, smtp+starttls:// or smtps://' });
    return undefined;
  }
  // The error of URL holds its input, so it must not become a cause.
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const isWhole =
    parsed !== undefined && parsed.host !== '' && parsed.hash === '' && /^\/?$/.test(parsed.pathname);
  if (!isWhole || parsed.search.includes('@')) {
    tell({
      what: 'this URL is not of the form SCHEME://USER:PASSWORD@HOST:PORT?KEY=VALUE',
      expected: encoding,
    });
    return undefined;
  }
  return parsed;
}

/** The relay's keys as the configuration file would have them; the schema decides whether they are right. */
function readRelay(url: URL, tell: Tell): Record<string, unknown> {
  const relay: Record<string, unknown> = { ...schemes[url.protocol] };
  relay['host'] = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (url.port !== '') relay['port'] = Number(url.port);
  if ((url.username === '') !== (url.password === '')) {
    tell({ what: `it has no ${url.username === '' ? 'user' : 'password'}`, expected: 'USER:PASSWORD@HOST' });
  } else if (url.username !== '') {
    relay['auth'] = {
      user: decode(url.username, 'user', tell),
      pass: decode(url.password, 'password', tell),
    };
  }
  for (const [name, value] of url.searchParams) readParameter(relay, name, value, tell);
  return relay;
}

function readParameter(relay: Record<string, unknown>, name: string, value: string, tell: Tell): void {
  const path = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
  const last = path?.at(-1);
  if (path === undefined || last === undefined) {
    const known = Object.keys(parameters);
    const suggestion = suggestWord(name, known);
    const expected = suggestion === undefined ? `one of ${known.join(', ')}` : undefined;
    tell({ what: `unknown parameter${quoteWord(name)}`, expected, suggestion });
    return;
  }
  let map = relay;
  for (const step of path.slice(0, -1)) {
    const inner = map[step];
    const next = isRecord(inner) ? inner : {};
    if (inner !== undefined && !isRecord(inner)) tell({ what: `parameter ${name} contradicts ${step}=none` });
    map[step] = next;
    map = next;
  }
  if (map[last] !== undefined) tell({ what: `parameter ${name} occurs twice, or contradicts another` });
  map[last] = readValue(value);
}

/** Parameters are text; keys also take numbers and booleans. */
function readValue(value: string): string | number | boolean {
  if (value === 'true' || value === 'false') return value === 'true';
  return /^\d{1,15}$/.test(value) ? Number(value) : value;
}

function decode(encoded: string, what: string, tell: Tell): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    tell({ what: `the ${what} is not percent-encoded`, expected: '"%" as %25' });
    return '?';
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function urlFailure(problems: readonly Problem[]): PosthasteError {
  return failureOf(problems, {
    code: 'ERR_RELAY_URL',
    hint: 'Write the relay as smtp+starttls://user:password@host:587 or smtps://user:password@host:465.',
    exitCode: ExitCode.config,
  });
}
