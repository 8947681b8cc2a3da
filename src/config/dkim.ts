// The keys that messages are signed with (DKIM), read from where the configuration says they are.
import { judgeKey, soundBits } from './dkim_key.ts';
import { dkimSchema, type WrittenDkim } from './dkim_schema.ts';
import { parseRest } from './issues.ts';
import type { Origin, Problem } from './problem.ts';
import { readSecretText, type Surroundings } from './secret.ts';

/** A key that can sign; never to be logged. */
export interface DkimConfig {
  /** In lower case, as A-labels. */
  readonly domain: string;
  readonly selector: string;
  /** PEM: RSA or Ed25519. */
  readonly privateKey: string;
  /** Of an RSA key; undefined for Ed25519. */
  readonly modulusBits: number | undefined;
}

/** Tells a problem with a part of an entry: `what` is a predicate, the part's path is its subject. */
type Tell = (part: keyof WrittenDkim, problem: { what: string; expected?: string | undefined }) => void;

/** Reads `dkim`, entry by entry, so that one with a wrong key does not hide the next; pushes every problem. */
export function readDkim(
  file: Origin,
  entries: unknown,
  around: Surroundings,
  problems: Problem[],
): DkimConfig[] {
  const keys: DkimConfig[] = [];
  const firstUses = new Map<string, number>();
  for (const [index, value] of (Array.isArray(entries) ? entries : []).entries()) {
    const standIns = { domain: `stand-in-${index}.example`, selector: `stand-in-${index}` };
    const written = parseRest(dkimSchema, value, standIns);
    if (written === undefined) continue;
    const tell: Tell = (part, { what, expected }) => {
      const path = ['dkim', index, part];
      problems.push({ place: file.place(path, 'value'), what: `${file.nameOf(path)} ${what}`, expected });
    };
    checkSelector(written, index, firstUses, tell);
    const key = readKey(written, around, tell);
    if (key !== undefined) keys.push(key);
  }
  return keys;
}

/** What must be said at every start: a key that some receivers distrust. */
export function warnAboutKey({ domain, selector, modulusBits }: DkimConfig): string[] {
  if (modulusBits === undefined || modulusBits >= soundBits) return [];
  return [
    `DKIM key ${selector}._domainkey.${domain}: RSA of ${modulusBits} bits is weak, and some receivers do not ` +
      `count it; use ${soundBits} (RFC 8301 §3.2)`,
  ];
}

/** RFC 6376 §3.6.2.2: a name in DNS has one key. */
function checkSelector(
  { domain, selector }: WrittenDkim,
  index: number,
  firstUses: Map<string, number>,
  tell: Tell,
): void {
  const name = `${selector}._domainkey.${domain}`.toLowerCase();
  const first = firstUses.get(name);
  if (first === undefined) firstUses.set(name, index);
  else
    tell('selector', { what: `is that of dkim[${first}], for the same domain`, expected: 'one of its own' });
}

function readKey(written: WrittenDkim, around: Surroundings, tell: Tell): DkimConfig | undefined {
  const found = readSecretText(written.key, around);
  const judged = found.kind === 'found' ? judgeKey(found.text) : found;
  if (judged.kind === 'problem') {
    tell('key', judged);
    return undefined;
  }
  const { domain, selector } = written;
  return { domain, selector, privateKey: judged.pem, modulusBits: judged.modulusBits };
}
