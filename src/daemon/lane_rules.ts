// The rules that cut a campaign's lists into batches: those of today, or those that a half-read list was begun with.
import { parseZoneCell } from '../intake/zone_cell.ts';
import type { CampaignRecord, CutKey, Ledger } from '../ledger/ledger.ts';
import { domainOf } from '../mail/address.ts';
import type { Recipient } from '../mail/recipient.ts';
import {
  makeLaneByKnown,
  makeLaneByOperator,
  makeLaneOf,
  type LaneGroup,
  type LaneRules,
  type OperatorOf,
} from '../schedule/lanes.ts';

/** Rules as the configuration has them. */
export interface WantedLanes extends LaneRules {
  readonly groups: readonly LaneGroup[];
  /** Undefined: no MX is looked up. */
  readonly mx: object | undefined;
}

/** What the batch of a recipient depends on. */
export interface CutRules {
  /** Undefined: all are of one lane. */
  readonly lanes: WantedLanes | undefined;
  /** The column with the recipients' timezones; undefined: none has one of its own. */
  readonly zoneColumn: string | undefined;
}

/** How a list is cut. */
export interface ListCut {
  /** From a domain in lower case to its lane; undefined: all are of one lane. */
  readonly laneOf: ((domain: string) => string | Promise<string>) | undefined;
  /** Whether batches are the same every time: not where some were cut by what the DNS said. */
  readonly isRepeatable: boolean;
  readonly zoneColumn: string | undefined;
}

/** What is kept with a campaign. */
type KeptRules = { readonly zoneColumn?: string | undefined } & (
  | { readonly groups?: undefined; readonly byMx?: undefined }
  | (LaneRules & { readonly byMx?: undefined })
  | (LaneRules & { readonly groups: readonly LaneGroup[]; readonly byMx: true })
);

/**
 * How the list that is taken in now is cut. Batches are compared with those that an interrupted intake has stored, so once there
 * are any, the rules of then count: whoever edits `lanes` or `list.timezone` in between has not changed the list. What was cut by
 * MX cannot be cut again: there rows are compared, and the lanes of today count.
 */
export async function chooseCut(
  ledger: Ledger,
  { id, rows, laneRules }: CampaignRecord,
  rowsBefore: number,
  wanted: CutRules,
  operatorOf: OperatorOf,
): Promise<ListCut> {
  const { lanes } = wanted;
  const byMx = { laneOf: laneOfToday(lanes, operatorOf), isRepeatable: false };
  if (rows > rowsBefore) {
    const kept = readRules(laneRules);
    if (kept.byMx === true) return { ...byMx, zoneColumn: kept.zoneColumn };
    const laneOf = kept.groups === undefined ? undefined : makeLaneOf(kept);
    return { laneOf, isRepeatable: true, zoneColumn: kept.zoneColumn };
  }
  const text = writeRules(keptOf(wanted));
  if (text !== laneRules) await ledger.setLaneRules(id, text);
  const { zoneColumn } = wanted;
  if (lanes?.mx !== undefined) return { ...byMx, zoneColumn };
  return { laneOf: lanes && makeLaneOf(lanes), isRepeatable: true, zoneColumn };
}

function laneOfToday(wanted: WantedLanes | undefined, operatorOf: OperatorOf): ListCut['laneOf'] {
  if (wanted === undefined) return undefined;
  return wanted.mx === undefined ? makeLaneOf(wanted) : makeLaneByOperator(wanted, operatorOf);
}

/** What was changed since the rules were written, for people. Without a column all are in the campaign's timezone, whatever was stored. */
export function describeChanges(written: string | undefined, wanted: CutRules): string[] {
  const { zoneColumn: column, ...lanes } = readRules(written);
  const { zoneColumn, ...lanesNow } = keptOf(wanted);
  const changes: string[] = [];
  if (writeRules(lanes) !== writeRules(lanesNow))
    changes.push('lanes were changed: recipients that are stored already stay in their lanes of then');
  if (zoneColumn !== undefined && zoneColumn !== column)
    changes.push(
      'list.timezone was changed: recipients that are stored already stay in their timezones of then',
    );
  return changes;
}

/** Only what the lane of a domain depends on, but for what the DNS says: limits may change at any time. */
function keptOf({ lanes, zoneColumn }: CutRules): KeptRules {
  if (lanes === undefined) return { zoneColumn };
  const { groups, others } = lanes;
  return lanes.mx === undefined
    ? { groups: groups.map(({ name, domains }) => ({ name, domains })), others, zoneColumn }
    : {
        groups: groups.map(({ name, domains, mx }) => ({ name, domains, mx })),
        others,
        byMx: true,
        zoneColumn,
      };
}

/** Undefined where there are none. */
function writeRules(rules: KeptRules): string | undefined {
  const text = JSON.stringify(rules);
  return text === '{}' ? undefined : text;
}

/** The inverse. It is our own writing, so its shape is trusted. */
function readRules(text: string | undefined): KeptRules {
  const kept: KeptRules = text === undefined ? {} : JSON.parse(text);
  return kept;
}

/** The lane and the timezone of a recipient by the rules of today, and by what is remembered of operators; `columns` are those of its cells. */
export function cutKeyOfRules(
  { lanes, zoneColumn }: CutRules,
  columns: readonly string[],
  recall: (domain: string) => string | undefined,
): (recipient: Recipient) => CutKey {
  const laneOf = lanes === undefined ? () => '' : makeLaneByKnown(lanes, recall);
  const zoneIndex = zoneColumn === undefined ? -1 : columns.indexOf(zoneColumn);
  return ({ address, cells }) => {
    const own = parseZoneCell(cells[zoneIndex]);
    return { lane: laneOf(domainOf(address)), zone: own.kind === 'zone' ? own.zone : '' };
  };
}
