// A recipient: one valid row of a list, as it travels from intake to the relay and back into the results.

/** A value of a list: a CSV cell is a string, an NDJSON value may be anything JSON has. */
export type Cell = string | number | boolean | null | readonly Cell[] | { readonly [key: string]: Cell };

export interface Recipient {
  /** 1-based position among the list's data rows (the header does not count). Unique in a campaign. */
  readonly row: number;
  /** 1-based line of the list at which the row starts, for messages to people. */
  readonly line: number;
  /** The address for RCPT TO: validated, its domain in A-labels and lower case. */
  readonly address: string;
  /** The row's values, in the order of the campaign's columns; missing trailing cells are absent. */
  readonly cells: readonly Cell[];
}

/** A row that cannot become a recipient, with its fate and the reason that users read. */
export interface RefusedRow {
  readonly row: number;
  readonly line: number;
  readonly fate: 'invalid' | 'duplicate';
  /** One sentence, with what was expected: "address has no @", "same address as line 12". */
  readonly reason: string;
  readonly cells: readonly Cell[];
}
