// The rules that cut a campaign's lists into batches: those of today, or those that a half-read list was begun with.
import { parseZoneCell } from '../intake/zone_cell.ts';
import type { CampaignRecord, CutKey, Ledger } from '../ledger/ledger.ts';
import { domainOf } from '../mail/address.ts';
import type { Recipient } from '../mail/recipient.ts';
import { makeLaneOf, type LaneRules } from '../schedule/lanes.ts';

/** What the batch of a recipient depends on. */
export interface CutRules {
  /** Undefined: all are of one lane. */
  readonly lanes: LaneRules | undefined;
  /** The column with the recipients' timezones; undefined: none has one of its own. */
  readonly zoneColumn: string | undefined;
}

/** From a domain in lower case to its lane; undefined: all are of one lane. */
export type LaneOf = (domain: string) => string;

export function laneOfRules(rules: LaneRules | undefined): LaneOf | undefined {
  return rules === undefined ? undefined : makeLaneOf(rules);
}

/**
 * How the list that is taken in now is cut. Batches are compared with those that an interrupted intake has stored, so once there
 * are any, the rules of then count: whoever edits `lanes` or `list.timezone` in between has not changed the list.
 */
export async function chooseCutRules(
  ledger: Ledger,
  { id, rows, laneRules }: CampaignRecord,
  rowsBefore: number,
  wanted: CutRules,
): Promise<CutRules> {
  if (rows > rowsBefore) return readRules(laneRules);
  const text = writeRules(wanted);
  if (text !== laneRules) await ledger.setLaneRules(id, text);
  return wanted;
}

/** What was changed since the rules were written, for people. Without a column all are in the campaign's timezone, whatever was stored. */
export function describeChanges(written: string | undefined, { lanes, zoneColumn }: CutRules): string[] {
  const then = readRules(written);
  const changes: string[] = [];
  if (writeLanes(then.lanes) !== writeLanes(lanes))
    changes.push('lanes were changed: recipients that are stored already stay in their lanes of then');
  if (zoneColumn !== undefined && then.zoneColumn !== zoneColumn)
    changes.push(
      'list.timezone was changed: recipients that are stored already stay in their timezones of then',
    );
  return changes;
}

function writeRules({ lanes, zoneColumn }: CutRules): string | undefined {
  if (zoneColumn === undefined) return writeLanes(lanes);
  return JSON.stringify({ ...(lanes && cutOf(lanes)), zoneColumn });
}

function writeLanes(lanes: LaneRules | undefined): string | undefined {
  return lanes && JSON.stringify(cutOf(lanes));
}

/** Only what the lane of a domain depends on: limits may change at any time. */
function cutOf({ groups, others }: LaneRules): LaneRules {
  return { groups: groups.map(({ name, domains }) => ({ name, domains })), others };
}

/** The inverse. It is our own writing, so its shape is trusted. */
function readRules(text: string | undefined): CutRules {
  if (text === undefined) return { lanes: undefined, zoneColumn: undefined };
  const { zoneColumn, ...rest }: { zoneColumn?: string } & (LaneRules | { groups?: undefined }) =
    JSON.parse(text);
  return { lanes: rest.groups === undefined ? undefined : rest, zoneColumn };
}

/** The lane and the timezone of a recipient by the rules of today; `columns` are those of its cells. */
export function cutKeyOfRules(
  { lanes, zoneColumn }: CutRules,
  columns: readonly string[],
): (recipient: Recipient) => CutKey {
  const laneOf = laneOfRules(lanes) ?? (() => '');
  const zoneIndex = zoneColumn === undefined ? -1 : columns.indexOf(zoneColumn);
  return ({ address, cells }) => {
    const own = parseZoneCell(cells[zoneIndex]);
    return { lane: laneOf(domainOf(address)), zone: own.kind === 'zone' ? own.zone : '' };
  };
}
