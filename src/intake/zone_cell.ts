// A recipient's own timezone, as a cell of the list names it.
import { findZone } from '../base/zone.ts';
import type { Cell } from '../mail/recipient.ts';

/** `zone` is empty for a blank cell: the campaign's. */
export type ZoneCell =
  | { readonly kind: 'zone'; readonly zone: string }
  | { readonly kind: 'invalid'; readonly reason: string };

export function parseZoneCell(cell: Cell | undefined): ZoneCell {
  if (cell === undefined || cell === null) return campaignsOwn;
  if (typeof cell !== 'string') {
    const found = typeof cell === 'object' ? 'a nested value' : `a ${typeof cell}`;
    return { kind: 'invalid', reason: `timezone is ${found}, expected text` };
  }
  const name = cell.trim();
  if (name === '') return campaignsOwn;
  const zone = findZone(name);
  if (zone !== undefined) return { kind: 'zone', zone };
  const shown = name.slice(0, 60).toWellFormed();
  return {
    kind: 'invalid',
    reason: `timezone "${shown}" is unknown, expected an IANA name such as Europe/Berlin`,
  };
}

const campaignsOwn: ZoneCell = { kind: 'zone', zone: '' };
