// The keys that sign for a domain.

/** A private key with its place in DNS: `selector._domainkey.domain` (RFC 6376 §3.6.2.1). Never to be logged. */
export interface DkimKey {
  /** In lower case, as A-labels. */
  readonly domain: string;
  readonly selector: string;
  /** PEM, not encrypted: RSA, or Ed25519. */
  readonly privateKey: string;
}

/**
 * The keys for messages from `fromDomain` (lower case, A-labels): those of the domain itself, else of the nearest one
 * above it. A signature for any of these is aligned (RFC 7489 §3.1.1); that for the domain itself is so under `adkim=s`,
 * too, and the others would only cost time.
 */
export function keysFor<Key extends Pick<DkimKey, 'domain'>>(
  keys: readonly Key[],
  fromDomain: string,
): Key[] {
  let longest = '';
  for (const { domain } of keys) {
    const covers = domain === fromDomain || fromDomain.endsWith(`.${domain}`);
    if (covers && domain.length > longest.length) longest = domain;
  }
  return keys.filter(({ domain }) => domain === longest);
}
