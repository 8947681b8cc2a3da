// A relay's credentials: password or OAuth2, as nodemailer's options have them, with every secret read.
import { isLoopback } from './loopback.ts';
import { push, readOneSecret, type RelaySite } from './relay_site.ts';

/** As the SMTP client has it. */
export type AuthConfig = PasswordConfig | OAuth2Config;

interface PasswordConfig {
  readonly type?: undefined;
  readonly user: string;
  readonly pass: string;
  readonly method?: (typeof passwordMethods)[number] | undefined;
}

interface OAuth2Config {
  readonly type: 'OAuth2';
  readonly user: string;
  readonly accessToken?: string | undefined;
  readonly expiresAt?: number | undefined;
  readonly refreshToken?: string | undefined;
  readonly clientId?: string | undefined;
  readonly clientSecret?: string | undefined;
  readonly accessUrl: string;
}

export const passwordMethods = ['PLAIN', 'LOGIN', 'CRAM-MD5'] as const;

/** nodemailer's. */
const googleAccessUrl = 'https://accounts.google.com/o/oauth2/token';

const secretForms = 'text, { env: NAME }, { file: PATH } or { credential: NAME }';
const passwordKeys = ['pass', 'method'] as const;
const tokenKeys = [
  'accessToken',
  'expires',
  'refreshToken',
  'clientId',
  'clientSecret',
  'accessUrl',
] as const;

/** Reads `auth`; pushes every problem with it. `serviceMethod` is what the relay's service wants where `method` is absent. */
export function readAuth(site: RelaySite, serviceMethod: string | undefined): AuthConfig | undefined {
  const { auth } = site.written;
  if (auth === undefined) return undefined;
  const wantsToken = auth.type === 'OAuth2';
  for (const name of wantsToken ? passwordKeys : tokenKeys) {
    if (auth[name] === undefined) continue;
    push(site, ['auth', name], { what: `says nothing ${wantsToken ? 'with' : 'without'} type OAuth2` });
  }
  return wantsToken ? readOAuth2(site, auth) : readPassword(site, auth, serviceMethod);
}

type WrittenAuth = NonNullable<RelaySite['written']['auth']>;

function readPassword(
  site: RelaySite,
  auth: WrittenAuth,
  serviceMethod: string | undefined,
): PasswordConfig | undefined {
  if (auth.pass === undefined) push(site, ['auth', 'pass'], { what: 'is missing', expected: secretForms });
  const user = readOneSecret(site, ['auth', 'user'], auth.user);
  const pass = readOneSecret(site, ['auth', 'pass'], auth.pass);
  const method = auth.method ?? passwordMethods.find((one) => one === serviceMethod);
  return user === undefined || pass === undefined ? undefined : { user, pass, method };
}

function readOAuth2(site: RelaySite, auth: WrittenAuth): OAuth2Config | undefined {
  if (auth.refreshToken === undefined && auth.accessToken === undefined) {
    push(site, ['auth'], { what: 'has neither refreshToken nor accessToken', expected: 'one of them' });
  }
  if (auth.refreshToken !== undefined && auth.clientId === undefined) {
    push(site, ['auth', 'clientId'], { what: 'is missing', expected: secretForms });
  }
  const accessUrl = auth.accessUrl ?? googleAccessUrl;
  if (!isSafe(accessUrl)) {
    push(site, ['auth', 'accessUrl'], { what: 'would send secrets without TLS', expected: 'an https URL' });
  }
  const read = (name: 'user' | 'accessToken' | 'refreshToken' | 'clientId' | 'clientSecret') =>
    readOneSecret(site, ['auth', name], auth[name]);
  const user = read('user');
  const secrets = {
    accessToken: read('accessToken'),
    refreshToken: read('refreshToken'),
    clientId: read('clientId'),
    clientSecret: read('clientSecret'),
  };
  return user === undefined
    ? undefined
    : { type: 'OAuth2', user, ...secrets, expiresAt: auth.expires, accessUrl };
}

/** Plain HTTP only to this machine. */
function isSafe(accessUrl: string): boolean {
  const { protocol, hostname } = new URL(accessUrl);
  return protocol === 'https:' || isLoopback(hostname.replace(/^\[(.*)\]$/, '$1'));
}
