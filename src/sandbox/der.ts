// Writes the part of DER (ITU-T X.690 §10) that a certificate needs.

/** A tag, the length in the definite form, and the contents. */
export function writeDer(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), writeLength(body.length), body]);
}

/** X.690 §8.1.3: one octet below 128, else their number and the octets. */
function writeLength(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const hex = length.toString(16);
  const octets = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([0x80 | octets.length]), octets]);
}

export function writeSequence(...items: readonly Uint8Array[]): Buffer {
  return writeDer(0x30, ...items);
}

export function writeSet(...items: readonly Uint8Array[]): Buffer {
  return writeDer(0x31, ...items);
}

export function writeBoolean(value: boolean): Buffer {
  return writeDer(0x01, Buffer.from([value ? 0xff : 0x00]));
}

/** A positive INTEGER of big-endian octets: shortest form, with a zero octet where the top bit would say "negative". */
export function writeInteger(octets: Uint8Array): Buffer {
  const first = octets.findIndex((octet) => octet !== 0);
  const shortest = first < 0 ? Buffer.alloc(1) : octets.subarray(first);
  const isNegative = ((shortest[0] ?? 0) & 0x80) !== 0;
  return writeDer(0x02, isNegative ? Buffer.alloc(1) : Buffer.alloc(0), shortest);
}

/** A BIT STRING with so many unused bits at its end. */
export function writeBitString(octets: Uint8Array, unusedBits = 0): Buffer {
  return writeDer(0x03, Buffer.from([unusedBits]), octets);
}

export function writeOctetString(...contents: readonly Uint8Array[]): Buffer {
  return writeDer(0x04, ...contents);
}

/** "1.2.840.10045.4.3.2": the first two arcs in one octet, the others in base 128 (X.690 §8.19). */
export function writeOid(dotted: string): Buffer {
  const [first = 0, second = 0, ...arcs] = dotted.split('.').map(Number);
  return writeDer(0x06, Buffer.from([first * 40 + second, ...arcs.flatMap(splitBase128)]));
}

function splitBase128(arc: number): number[] {
  const digits = [arc & 0x7f];
  for (let rest = arc >>> 7; rest > 0; rest >>>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return digits;
}

export function writeUtf8String(text: string): Buffer {
  return writeDer(0x0c, Buffer.from(text));
}

/** RFC 5280 §4.1.2.5: UTCTime up to 2049, GeneralizedTime after. Milliseconds since the epoch, cut to seconds. */
export function writeTime(instantAt: number): Buffer {
  const digits = new Date(instantAt).toISOString().replace(/[-:T]|\.\d+/g, '');
  const isLate = Number(digits.slice(0, 4)) >= 2050;
  return writeDer(isLate ? 0x18 : 0x17, Buffer.from(isLate ? digits : digits.slice(2)));
}
