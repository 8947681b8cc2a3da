// What is done with a campaign's bodies once, in the main thread, before threads get it: MJML, CSS, text of HTML.
import type { Campaign, TemplateSource } from '../mail/campaign.ts';
import { inlineCss } from './css.ts';
import { makeHtml } from './mjml.ts';
import { findInstalled, type PackageFinder } from './optional_package.ts';
import { makeTextTemplate } from './text_from_html.ts';

/**
 * Does the campaign's body work; what comes back is plain data without any. Optional packages are loaded only where
 * they are needed. Throws PosthasteErrors: ERR_PACKAGE_MISSING, ERR_PACKAGE_BROKEN, ERR_MJML.
 */
export async function prepareCampaign(
  campaign: Campaign,
  find: PackageFinder = findInstalled,
): Promise<Campaign> {
  const { bodyWork: work, html: written, ...rest } = campaign;
  if (work === undefined || written === undefined) return campaign;
  let html = written;
  if (work.mjml !== undefined) html = made(written, 'as HTML', await makeHtml(written, work.mjml, find));
  const text = work.makesText ? made(written, 'as text', makeTextTemplate(html.source)) : rest.text;
  if (work.inlinesCss) html = made(written, 'with its CSS inlined', await inlineCss(html.source, find));
  const originals = html === written ? [] : [written];
  return { ...rest, text, html, originals: [...(rest.originals ?? []), ...originals] };
}

/** Lines and columns are those of what was made, and the name says so. */
function made({ file }: TemplateSource, how: string, source: string): TemplateSource {
  return { file: `${file} (${how})`, line: 1, source };
}
