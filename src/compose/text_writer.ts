// Writes plain text between Liquid: line breaks and blanks are held back until it is known what follows them.
//
// A tag that decides (if, for, …) stands between what is written and what is held back, so everything is written out
// in front of it. What is true behind it is what is true on every way through it; there may be a line break
// too many then, and never one too few.

/** What the text ends with. At its beginning nothing has to be broken off: `newlines` is infinite. */
interface Ending {
  readonly newlines: number;
  readonly isBlank: boolean;
}

const beginning: Ending = { newlines: Number.POSITIVE_INFINITY, isBlank: true };

/** A block of Liquid that is open. */
interface Frame {
  readonly before: Ending;
  readonly isLoop: boolean;
  /** How the ways that are complete have ended. */
  readonly ends: Ending[];
  hasElse: boolean;
  /** Whether it has words of its own yet, and what white space it wanted in front of them. */
  hasWords: boolean;
  wantedBreaks: number;
  wantsBlank: boolean;
  /** The block prints nothing here (capture). */
  readonly isApart: boolean;
  /** Which of its ways is being written: a number that no other way has. */
  way: number;
  turns: number;
}

export class TextWriter {
  readonly #parts: string[] = [];
  readonly #frames: Frame[] = [];
  #ending = beginning;
  #breaks = 0;
  #blanks = '';
  #prefix = '';
  #ways = 0;

  /** Nested blocks and ways through them, as a name: two places with the same one are reached together or not at all. */
  get way(): string {
    return this.#frames.map((frame) => `${frame.way}.`).join('');
  }

  get depth(): number {
    return this.#frames.length;
  }

  /** Whether nothing was written behind the last line break. */
  get isAtLineStart(): boolean {
    return this.#breaks > 0 || this.#ending.newlines > 0;
  }

  /** A place that can be written to later. */
  reserve(): number {
    this.flush();
    return this.#parts.push('') - 1;
  }

  fill(place: number, text: string): void {
    this.#parts[place] = text;
  }

  /** What was written behind a reserved place. */
  since(place: number): string {
    return this.#parts.slice(place + 1).join('');
  }

  /** At least `count` line breaks before what comes next. */
  breakLines(count: number): void {
    if (this.#prefix !== '') return;
    this.#breaks = Math.max(this.#breaks, count);
    this.#blanks = '';
  }

  /** One more line break. */
  addBreak(): void {
    if (this.#prefix !== '') return;
    this.#breaks = Math.min(this.#breaks + 1, 3);
    this.#blanks = '';
  }

  blank(width = 1): void {
    this.#blanks = ' '.repeat(Math.max(width, this.#blanks.length));
  }

  /** No blank before what comes next, whatever stood there. */
  trim(): void {
    this.#blanks = '';
  }

  /** The mark of a list's item: written with its first words. */
  item(prefix: string): void {
    this.breakLines(1);
    this.#prefix = prefix;
  }

  /** Text or an output of Liquid; `newlines` are those that what it prints ends with. */
  write(text: string, newlines = /\n*$/.exec(text)?.[0].length ?? 0): void {
    if (text === '') return;
    this.flush();
    this.#parts.push(text);
    const frame = this.#frames.at(-1);
    if (frame !== undefined) frame.hasWords = true;
    this.#ending = { newlines, isBlank: newlines > 0 || /\s$/.test(text) };
  }

  /** Liquid that prints nothing and decides nothing, or that stands where nothing is shown. */
  writeSilent(liquid: string): void {
    this.#parts.push(liquid);
  }

  /** Opens a block; `isApart`: what it prints does not go here (capture). */
  open(liquid: string, isLoop: boolean, isApart: boolean): void {
    this.flush();
    this.#parts.push(liquid);
    this.#frames.push({
      before: this.#ending,
      isLoop,
      ends: [],
      hasElse: false,
      hasWords: false,
      wantedBreaks: 0,
      wantsBlank: false,
      isApart,
      way: (this.#ways += 1),
      turns: 0,
    });
    if (isApart) this.#ending = beginning;
  }

  /** else, elsif, when. */
  turn(liquid: string): void {
    this.flush();
    this.#parts.push(liquid);
    const frame = this.#frames.at(-1);
    if (frame === undefined) return;
    // In front of the first "when" there is no way to come from.
    if (!/^\{%-?\s*when/.test(liquid) || frame.turns > 0) frame.ends.push(this.#ending);
    if (/^\{%-?\s*else\b/.test(liquid)) frame.hasElse = true;
    frame.way = this.#ways += 1;
    frame.turns += 1;
    this.#ending = frame.before;
  }

  close(liquid: string): void {
    const frame = this.#frames.pop();
    // The next round begins where this one ends, and its first words have been told to need no line break.
    if (frame?.isLoop === true) this.#satisfy(frame);
    this.flush();
    this.#parts.push(liquid);
    if (frame === undefined) return;
    this.#ending = frame.isApart ? frame.before : meet(frame, this.#ending);
    // Another file may have put something else in its place.
    if (/^\{%-?\s*endblock/.test(liquid)) this.#ending = { newlines: 0, isBlank: false };
  }

  /** Writes out what is held back. */
  flush(): void {
    this.#noteWanted();
    const missing = this.#breaks - this.#ending.newlines;
    if (missing > 0) {
      this.#parts.push('\n'.repeat(missing));
      this.#ending = { newlines: this.#breaks, isBlank: true };
    } else if (this.#blanks !== '' && !this.#ending.isBlank) {
      this.#parts.push(this.#blanks);
      this.#ending = { newlines: 0, isBlank: true };
    }
    if (this.#prefix !== '') {
      this.#parts.push(this.#prefix);
      this.#ending = beginning;
    }
    this.#breaks = 0;
    this.#blanks = '';
    this.#prefix = '';
  }

  /** The whole text; it ends with one line break. */
  finish(): string {
    return `${this.#parts.join('').trimEnd()}\n`;
  }

  #noteWanted(): void {
    for (const frame of this.#frames) {
      if (frame.hasWords) continue;
      frame.wantedBreaks = Math.max(frame.wantedBreaks, this.#breaks);
      frame.wantsBlank ||= this.#blanks !== '';
    }
  }

  #satisfy({ wantedBreaks, wantsBlank }: Frame): void {
    if (wantedBreaks > 0) this.breakLines(wantedBreaks);
    else if (wantsBlank && this.#breaks === 0) this.blank();
  }
}

/** What is true of the text on every way through a block. */
function meet(frame: Frame, last: Ending): Ending {
  const ends = [...frame.ends, last, ...(frame.hasElse ? [] : [frame.before])];
  return {
    newlines: Math.min(...ends.map((one) => one.newlines)),
    isBlank: ends.every((one) => one.isBlank),
  };
}
