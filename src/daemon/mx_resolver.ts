// Asks the DNS for MX records: the one place that does.
import { Resolver } from 'node:dns/promises';
import { messageOf } from '../base/error.ts';
import type { LookUpMx, MxAnswer } from '../schedule/mx_lanes.ts';

export interface MxResolverOptions {
  /** As `Resolver.setServers` takes them; undefined: the system's. */
  readonly servers: readonly string[] | undefined;
  readonly timeoutMs: number;
}

export interface MxResolver {
  readonly lookUp: LookUpMx;
  /** Ends what is under way: it counts as silent, and so does what comes later. */
  close(): void;
}

/** A domain without MX records takes its mail itself (RFC 5321 §5.1), and one that does not exist, nowhere. */
const noRecords = new Set(['ENODATA', 'ENOTFOUND']);
/** The server said so; all other errors mean that nothing came of it. */
const refusals = new Set(['ESERVFAIL', 'EREFUSED', 'EFORMERR', 'ENOTIMP', 'EBADRESP', 'EBADNAME']);

export function openMxResolver({ servers, timeoutMs }: MxResolverOptions): MxResolver {
  // Two tries to a server: the second is twice as long (c-ares), and ours ends both.
  const resolver = new Resolver({ timeout: Math.max(1, Math.floor(timeoutMs / 3)), tries: 2 });
  if (servers !== undefined) resolver.setServers(servers);
  let isClosed = false;
  return {
    lookUp: async (domain) =>
      isClosed ? { kind: 'silent', reason: 'closed' } : withinTime(ask(resolver, domain), timeoutMs),
    close: () => {
      isClosed = true;
      resolver.cancel();
    },
  };
}

async function ask(resolver: Resolver, domain: string): Promise<MxAnswer> {
  // An address literal, and localhost.
  if (domain.startsWith('[') || !domain.includes('.')) return { kind: 'answered', hosts: [] };
  try {
    // The dot at the end keeps the system's search list out of it.
    const records = await resolver.resolveMx(`${domain}.`);
    const hosts = records.toSorted((a, b) => a.priority - b.priority).map(({ exchange }) => exchange);
    return { kind: 'answered', hosts };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (noRecords.has(code)) return { kind: 'answered', hosts: [] };
    return { kind: refusals.has(code) ? 'failed' : 'silent', reason: messageOf(error) };
  }
}

/** c-ares asks one server after the other, so its own limits add up. */
async function withinTime(asked: Promise<MxAnswer>, timeoutMs: number): Promise<MxAnswer> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<MxAnswer>((resolve) => {
    const reason = `no answer within ${timeoutMs} ms`;
    timer = setTimeout(() => resolve({ kind: 'silent', reason }), timeoutMs);
  });
  try {
    return await Promise.race([asked, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
