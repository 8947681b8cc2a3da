// The door to MJML: makes the HTML template of an MJML template.
//
// MJML reads files itself. It gets a folder of its own with copies of those that the campaign's loader has read, Liquid
// put away, so nothing outside of the campaign's folder can be included, and nothing that the digest does not know.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import type { MjmlFiles, TemplateSource } from '../mail/campaign.ts';
import { LiquidMarks } from './liquid_marks.ts';
import { brokenPackage, functionOf, loadPackage, type PackageFinder } from './optional_package.ts';

/** Makes HTML of MJML. Throws ERR_PACKAGE_MISSING, ERR_PACKAGE_BROKEN, ERR_MJML (`file:line` where MJML says so). */
export async function makeHtml(
  template: TemplateSource,
  files: MjmlFiles,
  find: PackageFinder,
): Promise<string> {
  const convert = functionOf(await loadPackage('mjml', 'MJML', find), 'default');
  if (convert === undefined) throw brokenPackage('mjml', 'it exports no function');
  const marks = new LiquidMarks();
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'posthaste-mjml-')));
  try {
    const hidden = marks.hide(template.source);
    for (const one of files.includes) write(folder, one.path, marks.hide(one.source));
    const filePath = write(folder, files.path, hidden);
    const html = readResult(
      template,
      folder,
      await run(template, () => convert(hidden, optionsOf(folder, filePath))),
    );
    checkLiquid(template, marks, html);
    return marks.restore(html);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function write(folder: string, path: string, content: string): string {
  const whole = join(folder, path);
  mkdirSync(dirname(whole), { recursive: true });
  writeFileSync(whole, content);
  return whole;
}

/** Nothing of the user's machine is read for configuration; mistakes are told and not thrown. */
function optionsOf(folder: string, filePath: string): Record<string, unknown> {
  return {
    filePath,
    actualPath: filePath,
    includePath: folder,
    ignoreIncludes: false,
    useMjmlConfigOptions: false,
    validationLevel: 'soft',
    keepComments: true,
    minify: false,
  };
}

async function run(template: TemplateSource, convert: () => unknown): Promise<unknown> {
  try {
    return await convert();
  } catch (thrown) {
    throw mjmlError(messageOf(thrown), template.file, thrown);
  }
}

function readResult(template: TemplateSource, folder: string, result: unknown): string {
  if (typeof result !== 'object' || result === null || !('html' in result) || typeof result.html !== 'string')
    throw brokenPackage('mjml', 'it returned no HTML');
  const errors: unknown = 'errors' in result ? result.errors : [];
  const [first] = Array.isArray(errors) ? errors : [];
  if (first !== undefined) throw complaintOf(template, folder, first);
  const denied = /<!-- mj-include (?:denied|fails[^>]*) -->/.exec(result.html);
  if (denied !== null) throw mjmlError('a file of mj-include cannot be read', template.file);
  return result.html;
}

/** MJML's own complaint: { line, message, tagName, formattedMessage: "Line 3 of FILE (mj-foo) — …" }. */
function complaintOf(template: TemplateSource, folder: string, error: unknown): PosthasteError {
  if (typeof error !== 'object' || error === null || !('message' in error))
    return mjmlError(messageOf(error), template.file);
  const formatted = 'formattedMessage' in error ? String(error.formattedMessage) : '';
  const path = /^Line \d+ of (.+) \([^)]*\) — /.exec(formatted)?.[1];
  const inner = path?.startsWith(folder) === true ? relative(folder, path) : '';
  const file = inner === '' ? template.file : nameOf(template, inner);
  const line = 'line' in error && typeof error.line === 'number' ? `:${error.line}` : '';
  const tag = 'tagName' in error ? `${String(error.tagName)}: ` : '';
  return mjmlError(`${tag}${String(error.message)}`, `${file}${line}`);
}

/** Files are named as the template is. */
function nameOf(template: TemplateSource, inner: string): string {
  return template.file.endsWith(inner) ? template.file : inner;
}

/** MJML drops text between its components, and Liquid is text to it. */
function checkLiquid(template: TemplateSource, marks: LiquidMarks, html: string): void {
  const lost = marks.findLost(html);
  if (lost === undefined) return;
  const at = template.source.indexOf(lost);
  const line = at === -1 ? 1 : template.source.slice(0, at).split('\n').length;
  throw mjmlError(
    `${lost} stands where MJML keeps no text; put it into <mj-raw>`,
    `${template.file}:${template.line + line - 1}`,
  );
}

function mjmlError(what: string, where: string, cause?: unknown): PosthasteError {
  return new PosthasteError({
    code: 'ERR_MJML',
    message: `The MJML template cannot be converted: ${what.replace(/\.$/, '')}.`,
    hint: 'Correct the template at this place; https://documentation.mjml.io lists components and attributes.',
    where,
    exitCode: ExitCode.dataError,
    cause,
  });
}
