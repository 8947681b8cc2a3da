// Keeps secrets out of texts: a relay, a proxy or a token endpoint may echo what it was sent.
import type { RelayOptions } from './relay.ts';

/** What a relay's options hold that must appear in no text, with the forms in which it goes over the wire. */
export function secretsOf(relay: RelayOptions): readonly string[] {
  const { auth, proxy, tls } = relay;
  const secrets = [proxy?.pass, tls.passphrase];
  if (proxy?.pass !== undefined) secrets.push(encode(`${proxy.user ?? ''}:${proxy.pass}`));
  if (auth?.type === 'OAuth2') secrets.push(auth.accessToken, auth.refreshToken, auth.clientSecret);
  else if (auth !== undefined) secrets.push(auth.pass, encode(`\0${auth.user}\0${auth.pass}`));
  return secrets.filter((one) => one !== undefined);
}

/** One line without control characters, with every secret, in plain, base64 and percent-encoded form, as `***`. */
export function maskSecrets(text: string, secrets: readonly string[]): string {
  // Secrets as lines too: whoever made the text may have made one line of it already.
  const forms = secrets.flatMap((one) => [one, toLine(one), encode(one), encodeURIComponent(one)]);
  // The longest first, so that no part of one is left where another stood in it.
  const ordered = forms.filter((form) => form !== '').sort((a, b) => b.length - a.length);
  return toLine(ordered.reduce((kept, form) => kept.replaceAll(form, '***'), text)).trim();
}

function toLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what must not reach a terminal
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}
