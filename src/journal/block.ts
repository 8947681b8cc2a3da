// Journal blocks: records of one write(), with their length and check sum in front, and finding them again.
import { crc32 } from 'node:zlib';

const magic = 'J1 ';
/** No write of ours is nearly as long; a larger length is damage. */
const maxBlockBytes = 64 * 1_048_576;
const headerPattern = /^J1 (\d{1,9}) ([0-9a-f]{8})\n/;
const maxHeaderBytes = 23;

/** The bytes of a block that holds these records. */
export function makeBlock(records: string): Buffer {
  const body = Buffer.from(records);
  const header = `${magic}${body.length} ${crc32(body).toString(16).padStart(8, '0')}\n`;
  return Buffer.concat([Buffer.from(header, 'latin1'), body]);
}

/** What stands in a segment's bytes. */
export interface SegmentBlocks {
  /** Whole blocks, in order. */
  readonly blocks: readonly string[];
  /** Offsets of stretches between whole blocks that are none. */
  readonly damaged: readonly number[];
  /** Where the last whole block ends; what follows was cut off in writing. */
  readonly wholeBytes: number;
}

/** Splits a segment. What is behind the last whole block is a torn write; what is no block before it is damage. */
export function splitBlocks(bytes: Buffer): SegmentBlocks {
  const blocks: string[] = [];
  const damaged: number[] = [];
  let wholeBytes = 0;
  for (let at = 0; at < bytes.length;) {
    const end = endOfBlock(bytes, at);
    if (end === undefined) {
      // Wherever one may begin: the line's end before it may be what is damaged.
      const next = bytes.indexOf(magic, at + 1, 'latin1');
      if (next === -1) break;
      at = next;
      continue;
    }
    if (at > wholeBytes) damaged.push(wholeBytes);
    const bodyAt = bytes.indexOf('\n', at) + 1;
    blocks.push(bytes.toString('utf8', bodyAt, end));
    wholeBytes = end;
    at = end;
  }
  return { blocks, damaged, wholeBytes };
}

/** Where the block that begins at `at` ends, or undefined where there is none, or not a whole one. */
function endOfBlock(bytes: Buffer, at: number): number | undefined {
  const header = headerPattern.exec(bytes.toString('latin1', at, at + maxHeaderBytes));
  if (header === null) return undefined;
  const [line, length, sum] = header;
  const from = at + line.length;
  const end = from + Number(length);
  if (Number(length) > maxBlockBytes || end > bytes.length) return undefined;
  return crc32(bytes.subarray(from, end)) === Number.parseInt(sum ?? '', 16) ? end : undefined;
}
