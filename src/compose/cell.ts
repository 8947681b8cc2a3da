// The text of one value of a list, exactly as liquidjs would print it.
import { messageOf } from '../base/error.ts';
import type { Cell } from '../mail/recipient.ts';

/** One recipient's values make no message; the text is the reason that users read. Never leaves the folder. */
export class RenderFailure extends Error {}

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

/** Whether Liquid's `default` filter replaces the cell: absent, null, false, an empty text or an empty list. */
export function isBlank(cell: Cell | undefined): boolean {
  if (typeof cell === 'string') return cell.length === 0;
  return cell === undefined || cell === null || cell === false || (Array.isArray(cell) && cell.length === 0);
}

function printValue(cell: Cell | undefined): string {
  if (cell === undefined || cell === null) return '';
  if (isList(cell)) return cell.map(printValue).join('');
  // oxlint-disable-next-line typescript/no-base-to-string -- "[object Object]" is what liquidjs prints
  return String(cell);
}

function isList(cell: Cell): cell is readonly Cell[] {
  return Array.isArray(cell);
}
