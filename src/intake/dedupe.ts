// Remembers which addresses a list has had, in about 12 bytes each, without keeping any of them.
import { randomBytes } from 'node:crypto';
import { invariant } from '../base/invariant.ts';
import { growth, LineTable } from './line_table.ts';
import { SlotMemory } from './slot_memory.ts';

const tableCount = 256;
const smallestCapacity = 224;

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
  readonly #memory = new SlotMemory();
  readonly #tables: LineTable[] = [];
  #low = 0;
  #high = 0;

  constructor(key: HashKey = makeRandomKey()) {
    this.#key = key;
    // Capacities spread over one step of growth: the tables grow one after the other, not all at the same row.
    for (let index = 0; index < tableCount; index++) {
      const capacity = Math.round(smallestCapacity * growth ** (index / tableCount));
      this.#tables.push(new LineTable(capacity, this.#memory));
    }
  }

  /** Remembers an address with its line (1 to 2³²−1); returns the line that had it before, 0 where none had. */
  add(address: string, line: number): number {
    this.#hash(address);
    return this.#table().add(this.#mark(), this.#high, line);
  }

  /** Whether an address was added, from whatever line. */
  has(address: string): boolean {
    this.#hash(address);
    return this.#table().find(this.#mark(), this.#high) > 0;
  }

  /** Bytes that the tables take. */
  get sizeBytes(): number {
    return this.#memory.sizeBytes;
  }

  /** The low byte of the low lane chooses; the rest of it is the mark. */
  #table(): LineTable {
    const table = this.#tables[this.#low % tableCount];
    invariant(table !== undefined, 'a byte without a table');
    return table;
  }

  /** No mark is 0. */
  #mark(): number {
    return Math.max(1, this.#low >>> 8);
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
