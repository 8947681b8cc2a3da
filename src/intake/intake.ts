// Turns a list into batches of recipients, with every row accounted for.
import { createHash } from 'node:crypto';
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { BatchCutter, type NewBatch } from './batch_cutter.ts';
import { makeDecoder, type CharsetDecoder } from './charset.ts';
import { chooseAddressColumn, chooseZoneColumn, type Delimiter } from './columns.ts';
import { CsvReader } from './csv_reader.ts';
import { cutOffList, tooFewRows } from './cut_off.ts';
import { AddressIndex } from './dedupe.ts';
import type { EarlierLists } from './earlier.ts';
import { LaneLine, type FoundLane } from './lane_line.ts';
import { NdjsonReader } from './ndjson.ts';
import { readUntil, type Bytes } from './read_until.ts';
import { maxRowChars, type RawRow, type RowReader } from './row.ts';
import { SameColumnsReader } from './same_columns.ts';
import { chunkBytes, type ListSource } from './source.ts';
import { parseZoneCell, type ZoneCell } from './zone_cell.ts';
import { ExitCode, PosthasteError } from '../base/error.ts';
import { domainOf, parseAddress } from '../mail/address.ts';
import type { Recipient, RefusedRow } from '../mail/recipient.ts';

/** How a list is to be read. */
export interface ListOptions {
  /** The column with the address. Absent: the only one that is named like an address. */
  readonly addressColumn?: string | undefined;
  /** Absent: NDJSON where the first character that is no white space is "{". */
  readonly format?: 'csv' | 'ndjson' | undefined;
  /** Absent: decided from the header line. */
  readonly delimiter?: Delimiter | undefined;
  /** A WHATWG label. Absent: utf-8. */
  readonly charset?: string | undefined;
  /** Recipients of a batch; a batch ends earlier when its rows come to more than 1 MiB of text. */
  readonly batchRows: number;
  /** Absent: the list is the campaign's first. */
  readonly earlier?: EarlierLists | undefined;
  /** A list from a pipe that seems to be cut off is taken all the same. */
  readonly partial?: boolean | undefined;
  /** With fewer rows than these, a list is refused as cut off. */
  readonly expectedRows?: number | undefined;
  /** Which lane recipients of a domain share: a pure function, or one that finds out and takes its time. Absent: '' for all. */
  readonly laneOf?: ((domain: string) => FoundLane) | undefined;
  /** The column with a recipient's own timezone. Absent: all are in the campaign's. */
  readonly zoneColumn?: string | undefined;
  /** Absent: all are batched. */
  readonly stored?: StoredRecipients | undefined;
}

/** Those that an earlier run has stored, where it may have cut the list differently: they are not batched again. */
export interface StoredRecipients {
  /** Rows up to this one can be asked about. */
  readonly upToRow: number;
  /** Raises `upToRow`; what was below it is forgotten. */
  readOn(): Promise<void>;
  /** Throws where the row is another one in the list now. */
  has(recipient: Recipient): boolean;
}

/** A piece of the work, to be stored at once. */
export interface IntakePart {
  readonly batches: readonly NewBatch[];
  readonly refused: readonly RefusedRow[];
  /** Data rows so far, in total: of the earlier lists, and of this one those that are not known. Their recipients may still wait for their batch to fill. */
  readonly rows: number;
  /** The columns so far: of NDJSON, later parts may add some at the end. */
  readonly columns: readonly string[];
}

/** Who stores what intake makes. Intake waits for both. */
export interface IntakeSink {
  /** Once, before the first part; never for a list without rows. */
  begin(columns: readonly string[]): Promise<void>;
  store(part: IntakePart): Promise<void>;
}

/**
 * What a list came to: `rows` is `recipients + invalid + duplicate`, and those of the earlier lists; `listRows` is what
 * this list adds to them, and `known`.
 */
export interface IntakeResult {
  readonly rows: number;
  readonly listRows: number;
  /** Rows that the earlier lists had: their address, or, of invalid ones, all of their cells. */
  readonly known: number;
  readonly recipients: number;
  readonly invalid: number;
  readonly duplicate: number;
  readonly columns: readonly string[];
  /** SHA-256 of the decompressed bytes in hex. */
  readonly digest: string;
}

const noZone: ZoneCell = { kind: 'zone', zone: '' };
const partRows = 2000;
const partChars = 1_048_576;
/** Rows between two turns of the event loop: 3 ms at 300,000 rows a second. */
const turnRows = 1000;

/**
 * Takes a list in. The sequence of batches and the sequence of refused rows are functions of the list's bytes and the
 * options (the earlier lists are among them), never of chunks or time, so an intake that was cut short starts over and its caller skips what it has; only
 * the cuts between parts differ. Where `laneOf` takes its time, batches are a function of what it finds, too, and `stored` says what to skip. Memory does not grow with the list but for about 12 bytes an address (see `AddressIndex`).
 * @throws PosthasteError ERR_LIST_… when the list as a whole cannot be used, what `sink` throws, and `signal`'s reason.
 */
export async function takeIn(
  source: Pick<ListSource, 'name'> & Bytes & Partial<Pick<ListSource, 'isPipe'>>,
  options: ListOptions,
  sink: IntakeSink,
  signal?: AbortSignal,
): Promise<IntakeResult> {
  const intake = new Intake(source.name, options, sink);
  const hash = createHash('sha256');
  for await (const chunk of readUntil(source, signal)) {
    for (let start = 0; start < chunk.length; start += chunkBytes) {
      const piece = chunk.subarray(start, start + chunkBytes);
      hash.update(piece);
      await intake.takeBytes(piece);
      await yieldToEventLoop();
      signal?.throwIfAborted();
    }
  }
  const mayBeCutOff = source.isPipe === true && options.partial !== true;
  return { ...(await intake.finish(mayBeCutOff)), digest: hash.digest('hex') };
}

/** One intake under way: the batches that fill, the part that waits to be stored, and the counts. */
class Intake {
  readonly #name: string;
  readonly #options: ListOptions;
  readonly #sink: IntakeSink;
  readonly #decoder: CharsetDecoder;
  readonly #seen = new AddressIndex();
  #reader: RowReader | undefined;
  /** Text before it is known what the list is. */
  #head = '';
  /** -1 until the columns are known. */
  #addressIndex = -1;
  /** -1 where recipients have no timezones of their own. */
  #zoneIndex = -1;
  readonly #cutter: BatchCutter;
  readonly #line: LaneLine;
  #batches: NewBatch[] = [];
  #refused: RefusedRow[] = [];
  #storedRows: number;
  #unstoredChars = 0;
  /** What is the list's end decides whether it is whole: until then nothing more is stored. */
  #isEnding = false;
  #lastText = '';
  /** Where the last row begins that has an address. */
  #lastAddressLine = 0;
  readonly #counts;

  constructor(name: string, options: ListOptions, sink: IntakeSink) {
    const rows = options.earlier?.rows ?? 0;
    this.#counts = { rows, listRows: 0, known: 0, recipients: 0, invalid: 0, duplicate: 0 };
    this.#storedRows = rows;
    this.#name = name;
    this.#options = options;
    this.#sink = sink;
    this.#decoder = makeDecoder(options.charset ?? 'utf-8', name);
    this.#cutter = new BatchCutter(options.batchRows, (batch) => this.#batches.push(batch));
    this.#line = new LaneLine(this.#cutter.add.bind(this.#cutter));
  }

  async takeBytes(bytes: Uint8Array): Promise<void> {
    await this.#takeText(this.#decoder.decode(bytes));
  }

  /** `mayBeCutOff`: the list's writer may have died. Then a last line without its end is not read: half an address may be valid. */
  async finish(mayBeCutOff: boolean): Promise<Omit<IntakeResult, 'digest'>> {
    await this.#takeText(this.#decoder.end());
    if (mayBeCutOff) this.#checkLastLine();
    this.#isEnding = true;
    this.#reader?.end();
    if (this.#reader !== undefined) await this.#takeRows(this.#reader);
    if (this.#counts.listRows === 0) throw this.#emptyError();
    this.#checkWhole(mayBeCutOff);
    await this.#line.end();
    this.#cutter.end();
    await this.#storePart();
    return { ...this.#counts, columns: this.#reader?.columns ?? [] };
  }

  #checkLastLine(): void {
    if (this.#reader === undefined || /[\r\n]$/.test(this.#lastText)) return;
    const { columns } = this.#reader;
    const { listRows } = this.#counts;
    const row = columns.length === 0 && listRows === 0 ? 0 : listRows + 1;
    throw cutOffList(this.#name, row, 'its last line has no line end');
  }

  /** A stray quote has rows behind it; one that the list was cut off behind has none with an address. */
  #checkWhole(mayBeCutOff: boolean): void {
    const unclosedLine = this.#reader?.unclosedLine ?? 0;
    const { listRows } = this.#counts;
    if (mayBeCutOff && unclosedLine > this.#lastAddressLine)
      throw cutOffList(this.#name, listRows, `a quote of the row on line ${unclosedLine} is never closed`);
    const { expectedRows = 0 } = this.#options;
    if (listRows < expectedRows) throw tooFewRows(this.#name, listRows, expectedRows);
  }

  async #takeText(text: string): Promise<void> {
    if (text === '') return;
    this.#lastText = text;
    this.#unstoredChars += text.length;
    if (this.#reader !== undefined) {
      this.#reader.push(text);
      return this.#takeRows(this.#reader);
    }
    this.#head += text;
    this.#reader = this.#chooseReader(this.#head);
    if (this.#reader === undefined) return;
    this.#reader.push(this.#head);
    this.#head = '';
    await this.#takeRows(this.#reader);
  }

  /** The reader for the list's format; undefined where there is only white space so far. */
  #chooseReader(head: string): RowReader | undefined {
    const { format, delimiter } = this.#options;
    const { charset } = this.#decoder;
    const first = head.trimStart().charAt(0);
    if (format === undefined && first === '') {
      if (head.length > maxRowChars) throw this.#emptyError();
      return undefined;
    }
    if (format === undefined && first === '[') throw this.#arrayError();
    if (format === 'ndjson' || (format === undefined && first === '{'))
      return this.#inCampaignOrder(new NdjsonReader(charset), false);
    return this.#inCampaignOrder(new CsvReader({ name: this.#name, charset, delimiter }), true);
  }

  #inCampaignOrder(reader: RowReader, hasHeader: boolean): RowReader {
    const { earlier } = this.#options;
    return earlier === undefined
      ? reader
      : new SameColumnsReader(reader, earlier.columns, { name: this.#name, hasHeader });
  }

  async #takeRows(reader: RowReader): Promise<void> {
    for (let row = reader.next(); row !== undefined; row = reader.next()) {
      if (this.#addressIndex < 0 && reader.columns.length > 0) {
        const { addressColumn, zoneColumn } = this.#options;
        this.#addressIndex = chooseAddressColumn(reader.columns, addressColumn, this.#name);
        this.#zoneIndex = chooseZoneColumn(reader.columns, zoneColumn, this.#name);
      }
      if (this.#counts.listRows === 0) await this.#sink.begin(reader.columns);
      const { stored } = this.#options;
      if (stored !== undefined && stored.upToRow <= this.#counts.rows) await this.#readStored(stored);
      this.#takeRow(row);
      if (this.#line.isFull) await this.#line.makeRoom();
      if (this.#counts.rows - this.#storedRows >= partRows && !this.#isEnding) await this.#storePart();
      if (this.#counts.listRows % turnRows === 0) await yieldToEventLoop();
    }
    if (this.#unstoredChars >= partChars && !this.#isEnding) await this.#storePart();
  }

  async #readStored(stored: StoredRecipients): Promise<void> {
    while (stored.upToRow <= this.#counts.rows) await stored.readOn();
  }

  #takeRow(row: RawRow): void {
    this.#counts.listRows += 1;
    if (row.flaw !== '') return this.#refuse(row, 'invalid', row.flaw);
    const cell = row.cells[this.#addressIndex] ?? '';
    if (typeof cell !== 'string') {
      const found = typeof cell === 'object' ? 'a nested value' : `a ${typeof cell}`;
      return this.#refuse(row, 'invalid', `address is ${found}, expected text`);
    }
    const parsed = parseAddress(cell);
    if (parsed.kind === 'invalid') return this.#refuse(row, 'invalid', parsed.reason);
    this.#lastAddressLine = row.line;
    if (this.#options.earlier?.hasAddress(parsed.address) === true) {
      this.#counts.known += 1;
      return;
    }
    const own = this.#zoneOf(row);
    if (own.kind === 'invalid') return this.#refuse(row, 'invalid', own.reason);
    const earlierLine = this.#seen.add(parsed.address, row.line);
    if (earlierLine > 0) return this.#refuse(row, 'duplicate', `same address as line ${earlierLine}`);
    this.#counts.rows += 1;
    this.#counts.recipients += 1;
    const { laneOf, stored } = this.#options;
    const recipient = { row: this.#counts.rows, line: row.line, address: parsed.address, cells: row.cells };
    if (stored?.has(recipient) === true) return;
    const lane = laneOf === undefined ? '' : laneOf(domainOf(parsed.address));
    this.#line.add(lane, recipient, row.sizeChars, own.zone);
  }

  #zoneOf({ cells }: RawRow): ZoneCell {
    return this.#zoneIndex < 0 ? noZone : parseZoneCell(cells[this.#zoneIndex]);
  }

  #refuse(row: RawRow, fate: 'invalid' | 'duplicate', reason: string): void {
    if (fate === 'invalid' && this.#options.earlier?.hasRefused(row.cells) === true) {
      this.#counts.known += 1;
      return;
    }
    this.#counts.rows += 1;
    this.#counts[fate] += 1;
    this.#refused.push({ row: this.#counts.rows, line: row.line, fate, reason, cells: row.cells });
  }

  async #storePart(): Promise<void> {
    this.#storedRows = this.#counts.rows;
    this.#unstoredChars = 0;
    const [batches, refused] = [this.#batches, this.#refused];
    const columns = this.#reader?.columns ?? [];
    this.#batches = [];
    this.#refused = [];
    if (this.#counts.listRows > 0)
      await this.#sink.store({ batches, refused, rows: this.#counts.rows, columns });
  }

  #emptyError(): PosthasteError {
    const hasHeader = (this.#reader?.columns.length ?? 0) > 0;
    return new PosthasteError({
      code: 'ERR_LIST_EMPTY',
      message: `The list ${this.#name} ${hasHeader ? 'has a header and no rows' : 'is empty'}; at least one recipient was expected.`,
      hint: 'Check the program that wrote the list.',
      where: this.#name,
      exitCode: ExitCode.dataError,
    });
  }

  #arrayError(): PosthasteError {
    return new PosthasteError({
      code: 'ERR_LIST_FORMAT',
      message: `The list ${this.#name} begins with "[" like a JSON array; CSV or one JSON object a line was expected.`,
      hint: "Turn the array into lines: jq -c '.[]'. If it is CSV, say so: list.format.",
      where: `${this.#name}:1:1`,
      exitCode: ExitCode.dataError,
    });
  }
}
