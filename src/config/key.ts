// A key of a file: its schema, the sentence that users read, its default; and the walk over such schemas.
import * as z from 'zod';

/** What users read about a key. Type and range are in the schema, so is a default that does not depend on others. */
export interface Row {
  readonly sentence: string;
  /** The default in words, where it depends on other keys. */
  readonly default?: string | undefined;
  /** What stands below may be secret: not even its unknown keys are shown. */
  readonly secret?: boolean | undefined;
}

const rows = z.registry<Row>();
const expectations = z.registry<{ text: string }>();

/** Gives a schema its row. To be called last, on the optional or defaulted schema. */
export function key<T extends z.ZodType>(schema: T, row: Row | string): T {
  rows.add(schema, typeof row === 'string' ? { sentence: row } : row);
  return schema;
}

/** Gives a schema the words that complete "expected …". */
export function expects<T extends z.ZodType>(schema: T, text: string): T {
  expectations.add(schema, { text });
  return schema;
}

/** The row of a key's schema. */
export function rowOf(schema: z.core.$ZodType): Row | undefined {
  return rows.get(schema);
}

/** What a schema expects, in words. */
export function expectationOf(schema: z.core.$ZodType): string | undefined {
  const own = expectations.get(schema)?.text;
  const inner = own === undefined ? innerOf(schema) : undefined;
  return inner === undefined ? own : expectationOf(inner);
}

/** What a schema expects, in words: its own, or the kind of its value. */
export function kindOf(schema: z.core.$ZodType): string | undefined {
  const own = expectationOf(schema);
  if (own !== undefined) return own;
  const alternatives = peel(schema);
  if (alternatives instanceof z.ZodUnion) {
    const words = alternatives.options.filter((one) => one instanceof z.ZodLiteral).map((one) => one.value);
    return `${words.join(', ')} or a map`;
  }
  if (shapeOf(schema) !== undefined) return 'a map';
  if (nameSchemaOf(schema) !== undefined) return 'a map by name';
  return entryOf(schema) === undefined ? undefined : 'a list';
}

/** The default that a schema itself has, as one writes it in YAML. */
export function defaultOf(schema: z.core.$ZodType): unknown {
  if (schema instanceof z.ZodPrefault) return schema.def.defaultValue;
  const inner = innerOf(schema);
  return inner === undefined ? undefined : defaultOf(inner);
}

/** The keys of a map with fixed keys; undefined for all else. Of alternatives, the one that is such a map. */
export function shapeOf(schema: z.core.$ZodType): Readonly<Record<string, z.core.$ZodType>> | undefined {
  const peeled = peel(schema);
  if (peeled instanceof z.ZodObject) return peeled.shape;
  if (peeled instanceof z.ZodUnion) {
    return peeled.options.map((option) => shapeOf(option)).find((shape) => shape !== undefined);
  }
  return undefined;
}

/** The schema of every entry of a list, or of a map whose keys are the user's. */
export function entryOf(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  const peeled = peel(schema);
  if (peeled instanceof z.ZodArray) return peeled.element;
  return peeled instanceof z.ZodRecord ? peeled.valueType : undefined;
}

/** The schema of the names in a map whose keys are the user's. */
export function nameSchemaOf(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  const peeled = peel(schema);
  return peeled instanceof z.ZodRecord ? peeled.keyType : undefined;
}

function peel(schema: z.core.$ZodType): z.core.$ZodType {
  const inner = innerOf(schema);
  return inner === undefined ? schema : peel(inner);
}

function innerOf(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) return schema.def.innerType;
  return schema instanceof z.ZodPipe ? schema.in : undefined;
}
