// The kinds of value that keys take: each with its check, its range and the words that name both.
import { isIP } from 'node:net';
import * as z from 'zod';
import {
  parseByteRate,
  parseDurationMs,
  parseRate,
  parseSizeBytes,
  type Pace,
  type Rate,
} from '../base/quantity.ts';
import { expects } from './key.ts';

/** Patterns are for editors; the parsers of base/quantity.ts decide. A test holds them together. */
export const durationPattern = /^\d+(\.\d+)?(ms|s|m|h|d)$/;
export const sizePattern = /^\d+(\.\d+)?(B|kB|KiB|MB|MiB|GB|GiB)$/;
export const ratePattern = /^\d+\/(s|m|h|d)$/;
export const byteRatePattern = /^\d+(\.\d+)?(B|kB|KiB|MB|MiB|GB|GiB)\/(s|m|h|d)$/;

/** A whole number within a range, both ends included. */
export function wholeNumber(least: number, most: number) {
  return expects(z.int().min(least).max(most), `a whole number from ${least} to ${most}`);
}

/** Any number within a range, both ends included. */
export function number(least: number, most: number) {
  return expects(z.number().min(least).max(most), `a number from ${least} to ${most}`);
}

export function flag() {
  return expects(z.boolean(), 'true or false');
}

/** One of a few words. */
export function choice<const Words extends readonly [string, ...string[]]>(words: Words) {
  return expects(z.enum(words), words.length === 1 ? words[0] : `one of ${words.join(', ')}`);
}

/** Text in one line, not empty, without control characters. */
export function line(expected: string) {
  return expects(z.string().min(1).refine(isOneLine), expected);
}

/** Text that a check accepts. */
export function text(accepts: (value: string) => boolean, expected: string) {
  return expects(z.string().refine(accepts), expected);
}

/** A duration such as "5m" within a range; its value is in milliseconds. */
export function duration(least: string, most: string) {
  const schema = z
    .string()
    .regex(durationPattern)
    .transform((written, context) => orIssue(inRange(parseDurationMs(written), least, most), context));
  return expects(schema, `a duration from ${least} to ${most}, such as 30s or 5m`);
}

/** How long something is kept: a duration, in milliseconds, or forever, which is undefined. */
export function keepTime() {
  const [least, most] = ['1h', '36500d'];
  const schema = z
    .union([z.literal('forever'), z.string().regex(durationPattern)])
    .transform((written, context): number | undefined =>
      written === 'forever' ? undefined : orIssue(inRange(parseDurationMs(written), least, most), context),
    );
  return expects(schema, `forever or a duration from ${least} to ${most}, such as 30d`);
}

/** A duration as in `duration`, or a whole number of milliseconds, as nodemailer's options have it. */
export function durationOrMs(least: string, most: string) {
  const schema = z
    .union([z.int().min(1), z.string().regex(durationPattern)])
    .transform((written, context) =>
      orIssue(
        inRange(typeof written === 'number' ? written : parseDurationMs(written), least, most),
        context,
      ),
    );
  return expects(
    schema,
    `a duration from ${least} to ${most}, such as 30s, or a whole number of milliseconds`,
  );
}

/** A size such as "10MiB" within a range; its value is in bytes. */
export function size(least: string, most: string) {
  const schema = z
    .string()
    .regex(sizePattern)
    .transform((written, context) => {
      const bytes = parseSizeBytes(written) ?? Number.NaN;
      const isWithin = bytes >= (parseSizeBytes(least) ?? 0) && bytes <= (parseSizeBytes(most) ?? 0);
      return orIssue(isWithin ? Math.floor(bytes) : undefined, context);
    });
  return expects(schema, `a size from ${least} to ${most}, such as 10MiB`);
}

/** A rate, or several of different windows; its value has the shortest window first. */
export function rates() {
  const written = z.string().regex(ratePattern);
  const schema = z
    .union([written, z.array(written).min(1).max(4)])
    .transform((one, context) =>
      orIssue(readRates(typeof one === 'string' ? [one] : one, readMessageRate), context),
    );
  return expects(
    schema,
    'a rate such as 100/s, 6000/m, 20000/h or 50000/d, or a list of them with different units such as [20/s, 50000/d]',
  );
}

/** Bytes in a time, or several of different windows; its value has the shortest window first. */
export function byteRates() {
  const written = z.string().regex(byteRatePattern);
  const schema = z
    .union([written, z.array(written).min(1).max(4)])
    .transform((one, context) =>
      orIssue(readRates(typeof one === 'string' ? [one] : one, readBytesRate), context),
    );
  return expects(
    schema,
    'bytes in a time such as 10MB/s, 512KiB/s or 50GB/d, at least 1kB, or a list of them with different times such as [10MB/s, 50GB/d]',
  );
}

/** How many messages may go at once after a silence. */
export function burst() {
  return wholeNumber(1, 1_000_000_000);
}

/** What `rate`, `burst`, `bytes` and `connectionRate` say together. */
export function paceOf({
  rate,
  burst: atOnce,
  bytes,
  connectionRate,
}: {
  readonly rate?: readonly Rate[] | undefined;
  readonly burst?: number | undefined;
  readonly bytes?: readonly Rate[] | undefined;
  readonly connectionRate?: readonly Rate[] | undefined;
}): Pace {
  return {
    rates: rate ?? [],
    burst: atOnce,
    ...(bytes === undefined ? {} : { bytes }),
    ...(connectionRate === undefined ? {} : { connections: connectionRate }),
  };
}

/** A host name or an IP address. Underscores are not RFC 952 names, yet container networks have them. */
export function hostName() {
  return text(isHost, 'a host name or an IP address');
}

export function ipAddress() {
  return text((value) => isIP(value) !== 0, 'an IP address');
}

/** True for text without control characters. */
function isOneLine(value: string): boolean {
  // oxlint-disable-next-line no-control-regex -- they are what it looks for
  return !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(value);
}

const label = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

/** True for a host name of RFC 1123 §2.1 or an IP address. */
export function isHost(value: string): boolean {
  if (isIP(value) !== 0) return true;
  return value.length <= 253 && value.split('.').every((part) => label.test(part));
}

function inRange(durationMs: number | undefined, least: string, most: string): number | undefined {
  const within =
    durationMs !== undefined &&
    durationMs >= (parseDurationMs(least) ?? 0) &&
    durationMs <= (parseDurationMs(most) ?? 0);
  return within ? Math.round(durationMs) : undefined;
}

/** More than a million a millisecond is a slip of the hand, and would not be exact arithmetic either. */
function readMessageRate(written: string): Rate | undefined {
  const parsed = parseRate(written);
  return parsed !== undefined && parsed.count <= 1_000_000_000 ? parsed : undefined;
}

/** Less than the first bound lets no message go; sums of more than the second are no longer exact after some days. */
function readBytesRate(written: string): Rate | undefined {
  const parsed = parseByteRate(written);
  return parsed !== undefined && parsed.count >= 1000 && parsed.count <= 1e14 ? parsed : undefined;
}

function readRates(written: readonly string[], read: (one: string) => Rate | undefined): Rate[] | undefined {
  const parsed = written.flatMap((one) => read(one) ?? []);
  const isEachOther = new Set(parsed.map(({ perMs }) => perMs)).size === written.length;
  return isEachOther ? parsed.sort((a, b) => a.perMs - b.perMs) : undefined;
}

function orIssue<T>(value: T | undefined, context: z.RefinementCtx): T {
  if (value !== undefined) return value;
  context.addIssue({ code: 'custom', message: '' });
  return z.NEVER;
}
