// The door to packages that only some campaigns need: loaded when used, missed with the command that brings them.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';

/** Where a package is looked for: beside Posthaste, and never in a campaign's folder, for that would run its code. */
export type PackageFinder = (name: string) => string;

/** Finds what is installed with Posthaste or beside it. */
export const findInstalled: PackageFinder = (name) => createRequire(import.meta.filename).resolve(name);

/** Loads a package; `use` completes "… needs the package". Throws ERR_PACKAGE_MISSING, ERR_PACKAGE_BROKEN. */
export async function loadPackage(name: string, use: string, find: PackageFinder): Promise<unknown> {
  let path: string;
  try {
    path = find(name);
  } catch (cause) {
    throw new PosthasteError({
      code: 'ERR_PACKAGE_MISSING',
      message: `${use} needs the package ${name}, which is not installed.`,
      hint: `Install it where Posthaste is installed: npm install ${name} (with -g if Posthaste is), or leave ${use} out.`,
      exitCode: ExitCode.config,
      cause,
    });
  }
  try {
    const loaded: unknown = await import(pathToFileURL(path).href);
    return loaded;
  } catch (cause) {
    throw brokenPackage(name, messageOf(cause), cause);
  }
}

/** A package that is there and does not do what it should. */
export function brokenPackage(name: string, why: string, cause?: unknown): PosthasteError {
  return new PosthasteError({
    code: 'ERR_PACKAGE_BROKEN',
    message: `The package ${name} cannot be used: ${why}.`,
    hint: `Install it anew: npm install ${name}.`,
    exitCode: ExitCode.config,
    cause,
  });
}

/** A function that a module exports, by name or as its default. */
export function functionOf(loaded: unknown, name: string): ((...args: unknown[]) => unknown) | undefined {
  if ((typeof loaded !== 'object' && typeof loaded !== 'function') || loaded === null) return undefined;
  const found: unknown = Reflect.get(loaded, name);
  if (typeof found === 'function') return (...args) => Reflect.apply(found, undefined, args) as unknown;
  const inner: unknown = name !== 'default' && 'default' in loaded ? loaded.default : undefined;
  return inner === undefined ? undefined : functionOf(inner, name);
}
