// Checks that are built into what a template prints: a missing value, or one that its place does not take, fails the row.
import { evalToken, Filter, Tokenizer, TypeGuards, type FilterImplOptions, type Value } from 'liquidjs';
import { isBlank, PlacedFailure, printValue } from './cell.ts';
import { findValueFlaw, stricterRule, type ValueRule } from './html_place.ts';
import type { Engine } from './liquid_engine.ts';

/** What a template prints at one place, as it was written. */
export interface Printed {
  readonly value: Value;
  /** Its filters without those that liquidjs or we added. */
  readonly written: readonly Filter[];
  /** "the text part", for messages. */
  readonly partName: string;
  readonly where: string;
  /** The strictest of the places where it may stand. */
  rule: ValueRule;
}

/** Filters that print their argument beside the value. */
const joiningFilters = new Set(['append', 'prepend']);

/** Builds the check for missing values in. */
export function guardMissing(printed: Printed, engine: Engine): void {
  const { value, written } = printed;
  const [initial] = value.initial.postfix.length === 1 ? value.initial.postfix : [];
  const hasDefault = written.some(({ name }) => name === 'default');
  for (const filter of written) {
    if (joiningFilters.has(filter.name)) guardArgument(printed, filter, engine);
  }
  if (!hasDefault && TypeGuards.isPropertyAccessToken(initial)) {
    addFilter(printed, 0, engine, makeMissingCheck(initial.getText(), printed));
  }
  const last = written.findLast(({ name }) => name === 'default')?.args[0];
  if (TypeGuards.isPropertyAccessToken(last)) {
    addFilter(printed, countWritten(printed), engine, makeMissingCheck(last.getText(), printed));
  }
}

/** Builds the check for a place in, where the place has a rule. */
export function tightenRule(printed: Printed, rule: ValueRule, engine: Engine): void {
  const before = printed.rule;
  printed.rule = stricterRule(before, rule);
  if (before !== 'any' || printed.rule === 'any') return;
  addFilter(printed, countWritten(printed), engine, (value: unknown) => {
    checkRule(printed, nameOf(printed), printValue(value));
    return value;
  });
}

/** Throws RenderFailure where the text cannot stand under the rule. */
export function checkRule(
  { rule, where }: { rule: ValueRule; where: string },
  name: string,
  text: string,
): void {
  const flaw = findValueFlaw(rule, text);
  if (flaw !== '') throw new PlacedFailure(`"${name}" ${flaw} (${where})`);
}

/** Why a row is invalid whose value is missing. */
export function missingReason(
  name: string,
  { partName, where }: { partName: string; where: string },
): string {
  return `column "${name}" is blank, and ${partName} prints it without a default (${where})`;
}

function guardArgument(printed: Printed, filter: Filter, engine: Engine): void {
  const [argument] = filter.args;
  if (!TypeGuards.isPropertyAccessToken(argument)) return;
  const reason = missingReason(argument.getText(), printed);
  addFilter(printed, printed.value.filters.indexOf(filter), engine, function* check(value: unknown) {
    if (isBlank(yield evalToken(argument, this.context))) throw new PlacedFailure(reason);
    return value;
  });
}

function makeMissingCheck(name: string, printed: Printed): FilterImplOptions {
  const reason = missingReason(name, printed);
  return (value: unknown) => {
    if (isBlank(value)) throw new PlacedFailure(reason);
    return value;
  };
}

/** Where the filters end that were written; what liquidjs appends to escape comes after. */
function countWritten({ value, written }: Printed): number {
  const last = written.at(-1);
  // Checks in front have moved the written ones.
  return last === undefined ? value.filters.filter(isOurs).length : value.filters.indexOf(last) + 1;
}

const ours = new WeakSet<Filter>();

function isOurs(filter: Filter): boolean {
  return ours.has(filter);
}

function addFilter({ value }: Printed, index: number, engine: Engine, handler: FilterImplOptions): void {
  const [token] = new Tokenizer('| check').readFilters();
  if (token === undefined) return;
  const filter = new Filter(token, handler, engine.liquid);
  ours.add(filter);
  value.filters.splice(index, 0, filter);
}

function nameOf({ value }: Printed): string {
  const [initial] = value.initial.postfix;
  return initial?.getText() ?? 'value';
}
