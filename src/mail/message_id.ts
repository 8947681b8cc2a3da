// The Message-ID of a row (RFC 5322 §3.6.4): a function of campaign and row, the same on every attempt.
import { createHash } from 'node:crypto';

/** The left half of every Message-ID of a campaign: twelve characters of a digest of its name. */
export function messageIdPrefix(campaignName: string): string {
  return createHash('sha256').update(campaignName).digest('base64url').replace(/[-_]/g, '0').slice(0, 12);
}

/** "prefix.row@domain" without angle brackets; `domain` is the from address's. */
export function messageIdOf(prefix: string, row: number, domain: string): string {
  return `${prefix}.${row}@${domain}`;
}
