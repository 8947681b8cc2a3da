// Memory for the slots of hash tables: ten bytes each, in pages that the tables of one index pass on to each other.
import { invariant } from '../base/invariant.ts';

const pageBits = 8;
const blockBits = 15;
export const pageSlots = 2 ** pageBits;
const blockSlots = 2 ** blockBits;
const pagesInBlock = blockSlots / pageSlots;

/**
 * Where the parts of a page begin, in words:
 *
 *     | mark and the line's low byte, a word a slot | high lane, a word a slot | the line's next 16 bits, half a word a slot |
 *     0                                             highsAt                    halvesAt                                      pageWords
 */
const highsAt = pageSlots;
const halvesAt = 2 * pageSlots;
const pageWords = 2.5 * pageSlots;
/** Of lines from here on, the highest byte is kept beside the block. */
const firstFarLine = 2 ** 24;

/**
 * Slots by number, in pages of one size: what a table gives back when it has grown is what the next one takes. When each table
 * was a piece of memory larger than any before, a seventh of the memory was holes (bench/big_list.ts). A slot holds 56 bits of a
 * hash, of which 24, the mark, are not all 0, and a line from 1 to 2³²−1; or it is free, and holds zeros.
 */
export class SlotMemory {
  readonly #blocks: Uint32Array[] = [];
  /** By block; where no line is far there is nothing. */
  readonly #highBytes: (Uint8Array | undefined)[] = [];
  /** First slots of pages that were given back. */
  readonly #freePages: number[] = [];
  /** The first slot that was never taken. */
  #end = 0;

  get sizeBytes(): number {
    const highBytes = this.#highBytes.reduce((sum, bytes) => sum + (bytes?.length ?? 0), 0);
    return this.#blocks.length * pagesInBlock * pageWords * 4 + highBytes;
  }

  /** A page of free slots; returns the first of them. */
  takePage(): number {
    const free = this.#freePages.pop();
    if (free !== undefined) return free;
    const first = this.#end;
    if (first % blockSlots === 0) this.#blocks.push(new Uint32Array(pagesInBlock * pageWords));
    this.#end += pageSlots;
    return first;
  }

  /** Gives a page back by its first slot. */
  givePage(first: number): void {
    const start = pageStart(first);
    this.#blockOf(first).fill(0, start, start + pageWords);
    const inBlock = first % blockSlots;
    this.#highBytes[first >>> blockBits]?.fill(0, inBlock, inBlock + pageSlots);
    this.#freePages.push(first);
  }

  /** Of some slots of one page, the first that is free or has this hash; -1 where none is. */
  find(from: number, count: number, mark: number, high: number): number {
    const block = this.#blockOf(from);
    const start = pageStart(from) + (from & (pageSlots - 1));
    for (let index = start; index < start + count; index++) {
      const word = block[index] ?? 0;
      if (word === 0 || (word >>> 8 === mark && block[highsAt + index] === high)) return from + index - start;
    }
    return -1;
  }

  /** 0 where the slot is free. */
  markAt(slot: number): number {
    return (this.#blockOf(slot)[pageStart(slot) + (slot & (pageSlots - 1))] ?? 0) >>> 8;
  }

  highAt(slot: number): number {
    return this.#blockOf(slot)[pageStart(slot) + highsAt + (slot & (pageSlots - 1))] ?? 0;
  }

  /** 0 where the slot is free. */
  lineAt(slot: number): number {
    const block = this.#blockOf(slot);
    const start = pageStart(slot);
    const at = slot & (pageSlots - 1);
    const half = ((block[start + halvesAt + (at >>> 1)] ?? 0) >>> ((at & 1) * 16)) & 0xffff;
    const highByte = this.#highBytes[slot >>> blockBits]?.[slot & (blockSlots - 1)] ?? 0;
    return highByte * firstFarLine + half * 256 + ((block[start + at] ?? 0) & 0xff);
  }

  /** Into a free slot. */
  put(slot: number, mark: number, high: number, line: number): void {
    const block = this.#blockOf(slot);
    const start = pageStart(slot);
    const at = slot & (pageSlots - 1);
    block[start + at] = (mark << 8) | (line & 0xff);
    block[start + highsAt + at] = high;
    const half = start + halvesAt + (at >>> 1);
    block[half] = (block[half] ?? 0) | (((line >>> 8) & 0xffff) << ((at & 1) * 16));
    if (line < firstFarLine) return;
    (this.#highBytes[slot >>> blockBits] ??= new Uint8Array(blockSlots))[slot & (blockSlots - 1)] =
      line >>> 24;
  }

  #blockOf(slot: number): Uint32Array {
    const block = this.#blocks[slot >>> blockBits];
    invariant(block !== undefined, 'a slot that was never taken');
    return block;
  }
}

/** The first word of a slot's page in its block. */
function pageStart(slot: number): number {
  return ((slot >>> pageBits) & (pagesInBlock - 1)) * pageWords;
}
