// A hash table from hashes to lines, in pages of slots that it shares with the other tables of an index.
import { invariant } from '../base/invariant.ts';
import { pageSlots, type SlotMemory } from './slot_memory.ts';

/** A table grows by an eighth when seven eighths of it are taken: about 12 bytes a hash, about 15 slots a miss. */
export const growth = 1.125;
const maxLoad = 0.875;

/** Open addressing with linear steps. */
export class LineTable {
  readonly #memory: SlotMemory;
  #nextCapacity: number;
  #capacity = 0;
  /** First slots of the pages; of the last page some may be left over. */
  #pages: number[] = [];
  #count = 0;

  /** `capacity` is that of the first hash; until then no page is taken. */
  constructor(capacity: number, memory: SlotMemory) {
    this.#nextCapacity = capacity;
    this.#memory = memory;
  }

  /** Remembers a hash with its line; returns the line that it had before, 0 where it had none. */
  add(mark: number, high: number, line: number): number {
    if (this.#count >= this.#capacity * maxLoad) this.#grow();
    const slot = this.#findSlot(mark, high);
    if (this.#memory.markAt(slot) > 0) return this.#memory.lineAt(slot);
    this.#memory.put(slot, mark, high, line);
    this.#count += 1;
    return 0;
  }

  /** The line of a hash; 0 where it has none. */
  find(mark: number, high: number): number {
    return this.#count === 0 ? 0 : this.#memory.lineAt(this.#findSlot(mark, high));
  }

  /** The slot with this hash, or the free one where it belongs. There is always a free one. */
  #findSlot(mark: number, high: number): number {
    // The high lane scaled to the capacity, which is no power of two; the product is below 2⁵³.
    let place = ((high * this.#capacity) / 4294967296) | 0;
    for (;;) {
      const at = place & (pageSlots - 1);
      const page = this.#pages[place >>> 8];
      invariant(page !== undefined, 'a place without a page');
      const count = Math.min(pageSlots - at, this.#capacity - place);
      const slot = this.#memory.find(page + at, count, mark, high);
      if (slot >= 0) return slot;
      place += count;
      if (place === this.#capacity) place = 0;
    }
  }

  #grow(): void {
    const pages = this.#pages;
    this.#capacity = this.#nextCapacity;
    this.#nextCapacity = Math.ceil(this.#capacity * growth);
    this.#pages = [];
    while (this.#pages.length * pageSlots < this.#capacity) this.#pages.push(this.#memory.takePage());
    for (const page of pages) this.#moveAll(page);
  }

  #moveAll(page: number): void {
    const memory = this.#memory;
    for (let slot = page; slot < page + pageSlots; slot++) {
      const mark = memory.markAt(slot);
      if (mark === 0) continue;
      const high = memory.highAt(slot);
      memory.put(this.#findSlot(mark, high), mark, high, memory.lineAt(slot));
    }
    memory.givePage(page);
  }
}
