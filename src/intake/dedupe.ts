// Remembers which addresses a list has had, in at most 16 bytes each on average, without keeping any of them.
import { randomBytes } from 'node:crypto';

const shardCount = 256;
/** A shard grows by a quarter when seven eighths of it are taken: about 15 bytes an address, about ten slots a miss. */
const growth = 1.25;
const maxLoad = 0.875;
const smallestCapacity = 16;

/** Four 32-bit words that key the hash. */
export type HashKey = readonly [number, number, number, number];

/**
 * The addresses of one list, compared in lower case: two addresses that differ in case only are one.
 * What is kept of an address is a keyed 64-bit hash and its line. Two different addresses are taken for one with a
 * probability of n²/2⁶⁵: 3·10⁻⁸ that it happens at all in a list of a million rows, 3·10⁻⁶ for ten million. The key
 * is random, so nobody can write a list that collides, and a second run of the same list gives the same answers up to
 * that probability.
 */
export class AddressIndex {
  readonly #key: HashKey;
  readonly #shards: Shard[] = [];
  #low = 0;
  #high = 0;

  constructor(key: HashKey = makeRandomKey()) {
    this.#key = key;
    // Capacities spread over one step of growth: the shards grow one after the other, not all at the same row.
    for (let index = 0; index < shardCount; index++) {
      this.#shards.push(new Shard(Math.round(smallestCapacity * growth ** (index / shardCount))));
    }
  }

  /** Remembers an address with its line (1 to 2³²−1); returns the line that had it before, 0 where none had. */
  add(address: string, line: number): number {
    this.#hash(address);
    return this.#shards[this.#low & (shardCount - 1)]?.add(this.#low, this.#high, line) ?? 0;
  }

  /** Whether an address was added, from whatever line. */
  has(address: string): boolean {
    this.#hash(address);
    return this.#shards[this.#low & (shardCount - 1)]?.has(this.#low, this.#high) ?? false;
  }

  /** Bytes that the tables take. */
  get sizeBytes(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.sizeBytes, 0);
  }

  /**
   * Two lanes of multiply and xor-shift over four characters at a time, each with the finish of MurmurHash3 (public
   * domain, Austin Appleby). Lower case is made here, so that no string is: for ASCII by the bit, else by the runtime.
   */
  #hash(address: string): void {
    const [key0, key1, key2, key3] = this.#key;
    let low = key0 ^ address.length;
    let high = key1;
    let word = 0;
    for (let index = 0; index < address.length; index++) {
      const code = address.charCodeAt(index);
      if (code > 0x7f) return this.#hashUnicode(address);
      word = (word << 8) | (code >= 0x41 && code <= 0x5a ? code | 0x20 : code);
      if ((index & 3) !== 3) continue;
      low = mixLow(low, word);
      high = mixHigh(high, word);
      word = 0;
    }
    this.#finish(mixLow(low, word) ^ key2, mixHigh(high, word) ^ key3);
  }

  #hashUnicode(address: string): void {
    const [key0, key1, key2, key3] = this.#key;
    const lower = address.toLowerCase();
    let low = key0 ^ ~lower.length;
    let high = key1;
    for (let index = 0; index < lower.length; index++) {
      low = mixLow(low, lower.charCodeAt(index));
      high = mixHigh(high, lower.charCodeAt(index));
    }
    this.#finish(low ^ key2, high ^ key3);
  }

  #finish(low: number, high: number): void {
    this.#low = avalanche(low);
    this.#high = avalanche(high ^ 0x5bd1e995);
  }
}

/** Open addressing with linear steps. A low lane of 0 marks a free slot. */
class Shard {
  #low: Uint32Array;
  #high: Uint32Array;
  #line: Uint32Array;
  #count = 0;

  constructor(capacity: number) {
    this.#low = new Uint32Array(capacity);
    this.#high = new Uint32Array(capacity);
    this.#line = new Uint32Array(capacity);
  }

  get sizeBytes(): number {
    return this.#low.byteLength * 3;
  }

  add(low: number, high: number, line: number): number {
    // 0 is taken; the shard's number stays in the low byte.
    const mark = low === 0 ? shardCount : low;
    const slot = this.#findSlot(mark, high);
    if (this.#low[slot] === mark) return this.#line[slot] ?? 0;
    this.#put(slot, mark, high, line);
    this.#count += 1;
    if (this.#count >= this.#low.length * maxLoad) this.#grow();
    return 0;
  }

  has(low: number, high: number): boolean {
    const mark = low === 0 ? shardCount : low;
    return this.#low[this.#findSlot(mark, high)] === mark;
  }

  /** The slot with this hash, or the free one where it belongs. There is always a free one. */
  #findSlot(mark: number, high: number): number {
    const capacity = this.#low.length;
    // The high lane scaled to the capacity, which is no power of two; the product is below 2⁵³.
    let slot = Math.floor((high * capacity) / 4294967296);
    while (this.#low[slot] !== 0 && (this.#low[slot] !== mark || this.#high[slot] !== high)) {
      slot = slot + 1 === capacity ? 0 : slot + 1;
    }
    return slot;
  }

  #put(slot: number, mark: number, high: number, line: number): void {
    this.#low[slot] = mark;
    this.#high[slot] = high;
    this.#line[slot] = line;
  }

  #grow(): void {
    const [lows, highs, lines] = [this.#low, this.#high, this.#line];
    const capacity = Math.ceil(lows.length * growth);
    this.#low = new Uint32Array(capacity);
    this.#high = new Uint32Array(capacity);
    this.#line = new Uint32Array(capacity);
    for (let index = 0; index < lows.length; index++) {
      const mark = lows[index] ?? 0;
      if (mark === 0) continue;
      const high = highs[index] ?? 0;
      this.#put(this.#findSlot(mark, high), mark, high, lines[index] ?? 0);
    }
  }
}

function mixLow(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

function mixHigh(hash: number, word: number): number {
  const mixed = Math.imul(((hash << 11) | (hash >>> 21)) ^ word, 0x85ebca77);
  return mixed ^ (mixed >>> 13);
}

function avalanche(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function makeRandomKey(): HashKey {
  const bytes = randomBytes(16);
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4), bytes.readUInt32LE(8), bytes.readUInt32LE(12)];
}
