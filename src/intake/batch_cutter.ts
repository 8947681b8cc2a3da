// Cuts recipients into batches of one lane and one timezone each, with a bound on those that wait for their batch to fill.
import { domainOf } from '../mail/address.ts';
import { packRecipients, sharedLane } from '../mail/batch.ts';
import type { Recipient } from '../mail/recipient.ts';

/** A batch that is not yet stored. */
export interface NewBatch {
  readonly recipientCount: number;
  /** Rows of the first and the last recipient; rows of other lanes and refused ones may lie between. */
  readonly firstRow: number;
  readonly lastRow: number;
  /** What `packRecipients` made. */
  readonly payload: Uint8Array;
  /** That of all its recipients. */
  readonly lane: string;
  /** The same; empty for the campaign's. */
  readonly zone: string;
}

/** Bounds on what waits, over all lanes. */
export interface CutterBounds {
  readonly recipients: number;
  readonly chars: number;
  /** Rows of the list between a recipient and the moment when its batch is cut; also how far batches interleave. */
  readonly rows: number;
}

const usualBounds: CutterBounds = { recipients: 20_000, chars: 16 * 1_048_576, rows: 100_000 };

/** A batch ends, however few its recipients are, when its rows come to more than this. */
const batchChars = 1_048_576;

/** The recipients of a lane, in one timezone, that wait for their batch to fill. */
interface OpenLane {
  readonly key: string;
  readonly lane: string;
  readonly zone: string;
  /** None once it is cut: its place in the order may outlive it by far. */
  recipients: Recipient[];
  chars: number;
  isCut: boolean;
}

/**
 * A function of what it is given, in order: neither time nor chance, so the same list gives the same batches.
 *
 * A lane's batch is cut when it is full. Where lanes are domains, a list may have 100,000 of them, and most would wait for
 * ever: past a bound, the lane that has been open for longest is cut. Where it is a domain's own lane and has come to little,
 * it takes more of its kind with it, as one batch of the shared lane: else such a list would become batches of one.
 * Lanes that are not named after their domain have been asked for, so their recipients never change lanes.
 */
export class BatchCutter {
  readonly #batchRows: number;
  readonly #cut: (batch: NewBatch) => void;
  readonly #bounds: CutterBounds;
  readonly #open = new Map<string, OpenLane>();
  /**
   * In the order in which they were opened, from `#first` on; those that are cut stay until they are the first. Not the
   * map's own order: the first entry of a map that much was deleted from is found by stepping over all of that.
   */
  #order: OpenLane[] = [];
  #first = 0;
  #waiting = 0;
  #waitingChars = 0;

  constructor(batchRows: number, cut: (batch: NewBatch) => void, bounds: CutterBounds = usualBounds) {
    this.#batchRows = batchRows;
    this.#cut = cut;
    this.#bounds = bounds;
  }

  /** How many recipients wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Recipients come in ascending order of rows. */
  add(lane: string, recipient: Recipient, sizeChars: number, zone = ''): void {
    // Most lists have no timezones, and a string that is put together for each recipient would cost them.
    const key = zone === '' ? lane : `${zone}\n${lane}`;
    const open = this.#open.get(key) ?? this.#openLane(key, lane, zone);
    open.recipients.push(recipient);
    open.chars += sizeChars;
    this.#waiting += 1;
    this.#waitingChars += sizeChars;
    if (open.recipients.length >= this.#batchRows || open.chars > batchChars) this.#cutWhole(open);
    while (this.#exceedsBounds(recipient.row)) this.#cutOldest();
  }

  /** Cuts whatever waits. */
  end(): void {
    while (this.#open.size > 0) this.#cutOldest();
  }

  #openLane(key: string, lane: string, zone: string): OpenLane {
    const open = { key, lane, zone, recipients: [], chars: 0, isCut: false };
    this.#open.set(key, open);
    this.#order.push(open);
    return open;
  }

  #exceedsBounds(row: number): boolean {
    if (this.#waiting > this.#bounds.recipients || this.#waitingChars > this.#bounds.chars) return true;
    const oldest = this.#oldest()?.recipients[0];
    return oldest !== undefined && row - oldest.row > this.#bounds.rows;
  }

  #oldest(): OpenLane | undefined {
    while (this.#order[this.#first]?.isCut === true) this.#first += 1;
    if (this.#first > 1024 && this.#first > this.#order.length / 2) {
      this.#order = this.#order.slice(this.#first);
      this.#first = 0;
    }
    return this.#order[this.#first];
  }

  #cutOldest(): void {
    const oldest = this.#oldest();
    if (oldest === undefined) return;
    if (this.#isRare(oldest)) this.#cutRareOnes(oldest.zone);
    else this.#cutWhole(oldest);
  }

  /** A domain's own lane whose batch would be less than an eighth full. */
  #isRare({ lane, recipients }: OpenLane): boolean {
    const [first] = recipients;
    return first !== undefined && recipients.length < this.#batchRows / 8 && domainOf(first.address) === lane;
  }

  /** One batch of the lanes that have been open for longest and are rare, in one timezone. */
  #cutRareOnes(zone: string): void {
    const taken: OpenLane[] = [];
    let [count, chars] = [0, 0];
    for (let index = this.#first; index < this.#order.length; index += 1) {
      const open = this.#order[index];
      if (open === undefined || open.isCut || open.zone !== zone || !this.#isRare(open)) continue;
      const isFull = count + open.recipients.length > this.#batchRows || chars + open.chars > batchChars;
      if (isFull && taken.length > 0) break;
      taken.push(open);
      count += open.recipients.length;
      chars += open.chars;
    }
    const [only] = taken;
    if (taken.length === 1 && only !== undefined) return this.#cutWhole(only);
    const recipients = taken.flatMap((open) => this.#take(open)).sort((a, b) => a.row - b.row);
    this.#cutBatch(sharedLane, zone, recipients);
  }

  #cutWhole(open: OpenLane): void {
    this.#cutBatch(open.lane, open.zone, this.#take(open));
  }

  /** Takes a lane's recipients out of what waits, and the lane with them. */
  #take(open: OpenLane): readonly Recipient[] {
    const { recipients } = open;
    this.#open.delete(open.key);
    open.isCut = true;
    open.recipients = [];
    this.#waiting -= recipients.length;
    this.#waitingChars -= open.chars;
    return recipients;
  }

  #cutBatch(lane: string, zone: string, recipients: readonly Recipient[]): void {
    const [first, last] = [recipients[0], recipients.at(-1)];
    if (first === undefined || last === undefined) return;
    this.#cut({
      recipientCount: recipients.length,
      firstRow: first.row,
      lastRow: last.row,
      payload: packRecipients(recipients),
      lane,
      zone,
    });
  }
}
