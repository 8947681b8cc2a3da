// The text of one piece for one recipient, before it is encoded for its place.
import type { Recipient } from '../mail/recipient.ts';
import { isBlank, printCell } from './cell.ts';
import type { Scope } from './liquid_engine.ts';
import { makeScope, renderLiquid, replaceMissing, type Piece, type TemplateHouse } from './template.ts';
import { checkRule } from './value_guard.ts';

/** What the pieces of one message share. */
export interface Printing {
  readonly house: TemplateHouse;
  /** The recipient's data for Liquid, made when the first piece needs it. */
  scope: Scope | undefined;
}

/** Throws RenderFailure. */
export function printPiece(
  printing: Printing,
  piece: Exclude<Piece, { kind: 'static' }>,
  { cells }: Recipient,
): string {
  if (piece.kind === 'liquid') {
    printing.scope ??= makeScope(printing.house, cells);
    return renderLiquid(piece.engine, piece.templates, printing.scope);
  }
  const cell = cells[piece.index];
  const text =
    isBlank(cell) || (cell === false && piece.fallback !== undefined)
      ? replaceMissing(piece)
      : printCell(cell, piece.name);
  if (piece.rule !== 'any') checkRule(piece, piece.name, text);
  return text;
}
