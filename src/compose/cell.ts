// The text of one value of a list, exactly as liquidjs would print it.
import { messageOf } from '../base/error.ts';
import type { Cell } from '../mail/recipient.ts';

/** One recipient's values make no message; the text is the reason that users read. Never leaves the folder. */
export class RenderFailure extends Error {}

/** A failure whose reason names its place in the template already. */
export class PlacedFailure extends RenderFailure {}

/** The text of a cell. Absent and null print as nothing, lists without separators. Throws RenderFailure. */
export function printCell(cell: Cell | undefined, column: string): string {
  if (typeof cell === 'string') return cell;
  try {
    return printValue(cell);
  } catch (thrown) {
    // JSON may hold {"toString": 1}, or lists nested deeper than the stack.
    throw new RenderFailure(`column "${column}" holds a value that cannot be printed: ${messageOf(thrown)}`);
  }
}

/** Whether there is nothing to print: absent, null, text of blanks only, an empty list. `default` replaces these, and false. */
export function isBlank(value: unknown): boolean {
  if (typeof value === 'string') {
    // Most values are text that begins with a letter. The next blank after the space is U+00A0.
    const first = value.charCodeAt(0);
    return !(first > 32 && first < 0xa0) && value.trim() === '';
  }
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0);
}

/** As liquidjs prints. Throws what JSON's objects throw that cannot be made text. */
export function printValue(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.map(printValue).join('');
  // oxlint-disable-next-line typescript/no-base-to-string -- "[object Object]" is what liquidjs prints
  return String(value);
}
