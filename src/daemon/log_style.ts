// How log lines look: JSON for programs, text with a priority for the journal, text with a time on a terminal.
import { createHmac, randomBytes } from 'node:crypto';
import { fstatSync } from 'node:fs';

export type LogStyle = 'json' | 'journal' | 'terminal';

/** systemd tells a service which device and inode the journal's stream has (systemd.exec(5), $JOURNAL_STREAM). */
export function chooseStyle(isTerminal: boolean, journalStream: string | undefined, fd: number): LogStyle {
  if (isTerminal) return 'terminal';
  const { dev, ino } = fstatSync(fd);
  return journalStream === `${dev}:${ino}` ? 'journal' : 'json';
}

/** A line of pino's as it is to be written. */
export function styleLine(line: string, style: LogStyle): string {
  if (style === 'json') return line;
  const { level, time, msg, ...facts } = parseLine(line);
  const text = `${msg}${formatFacts(facts)}`;
  // One line is one entry, and takes no other's priority.
  const whole = text.replaceAll(/[\r\n]+/g, ' ');
  if (style === 'journal') return `<${priorityOf(level)}>${whole}\n`;
  return `${new Date(time).toISOString().slice(11, 19)} ${nameOf(level).padEnd(5)} ${whole}\n`;
}

interface Line {
  readonly level: number;
  readonly time: number;
  readonly msg: string;
  readonly [fact: string]: unknown;
}

/** Pino's own writing. */
function parseLine(line: string): Line {
  const parsed: Line = JSON.parse(line);
  return { ...parsed, msg: parsed.msg ?? '' };
}

/** Behind the sentence, as name=value. */
function formatFacts(facts: Readonly<Record<string, unknown>>): string {
  return Object.entries(facts)
    .map(
      ([name, value]) =>
        ` ${name}=${typeof value === 'string' ? quoteWhereNeeded(value) : JSON.stringify(value)}`,
    )
    .join('');
}

function quoteWhereNeeded(text: string): string {
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

/** syslog(3), by pino's levels. */
function priorityOf(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  return level >= 30 ? 6 : 7;
}

function nameOf(level: number): string {
  if (level >= 60) return 'fatal';
  if (level >= 50) return 'error';
  if (level >= 40) return 'warn';
  return level >= 30 ? 'info' : 'debug';
}

const addressLike = /[^\s<>"'(),:;@\\[\]]+@([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)/g;

/**
 * Puts a short hash in place of what stands before the @ of anything that looks like an address. The key is of this process: the
 * same address has the same hash until it ends, and nobody can try addresses against it afterwards.
 */
export function createAddressHider(): (text: string) => string {
  const key = randomBytes(32);
  return (text) =>
    text.replaceAll(addressLike, (address: string, domain: string) => {
      const hash = createHmac('sha256', key).update(address.toLowerCase()).digest('hex').slice(0, 10);
      return `${hash}@${domain}`;
    });
}
