// What the walk over a template refuses, in words.
import type { Template } from 'liquidjs';
import type { PosthasteError } from '../base/error.ts';
import type { HtmlFlaw } from './html_scan.ts';
import { locate, locateTemplate, templateError, type Engine } from './liquid_engine.ts';

/** Refuses a value where no encoder is. */
export function refusePlace(
  engine: Engine,
  template: Template,
  { where, hint }: { where: string; hint: string },
): never {
  throw templateError({
    code: 'ERR_TEMPLATE_PLACE',
    message: `The HTML template prints ${shorten(template.token.getText())} ${where}, where no value can be made safe.`,
    hint,
    where: locateTemplate(engine, template),
  });
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  return line.length > 60 ? `${line.slice(0, 60)}…` : line;
}

/** Refuses a link that stands in the template's own text. */
export function refuseLink(engine: Engine, template: Template, text: string, flaw: HtmlFlaw): never {
  const [row = 1, column = 1] = template.token.getPosition();
  const lines = text.slice(0, flaw.at).split('\n');
  const last = lines.at(-1)?.length ?? 0;
  const where = {
    file: template.token.file,
    row: row + lines.length - 1,
    column: lines.length === 1 ? column + last : last + 1,
  };
  throw templateError({
    code: 'ERR_TEMPLATE_LINK',
    message: `The attribute ${flaw.attr} has the scheme ${flaw.scheme}, which is refused in mail.`,
    hint: 'Link to https:// (or mailto:, tel:, sms:, cid:); a value that makes a link begins it, scheme and all.',
    where: locate(engine, where),
  });
}

/** The error for a partial that cannot be had. */
export function partialError(message: string, where: string) {
  const hint = "Write the name in quotes: a path from the campaign's folder, without ./ and ../ in front.";
  return templateError({ code: 'ERR_TEMPLATE_PARTIAL', message, hint, where });
}

/** The error for a tag behind which nobody knows where the HTML is. */
export function waysError(engine: Engine, template: Template): PosthasteError {
  return templateError({
    code: 'ERR_TEMPLATE_PLACE',
    message:
      'The ways through this tag end in different places of the HTML, so what follows cannot be encoded.',
    hint: 'Let every way open and close the same quotes, tags and comments.',
    where: locateTemplate(engine, template),
  });
}

/** The error for filters that cannot be checked. */
export function cycleError(engine: Engine, template: Template): PosthasteError {
  return templateError({
    code: 'ERR_TEMPLATE_FILTER',
    message: 'The values of {% cycle %} have filters, which cannot be checked there.',
    hint: 'Apply the filters before, with {% assign %}.',
    where: locateTemplate(engine, template),
  });
}
