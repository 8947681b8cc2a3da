// What is done with a campaign's bodies once, in the main thread, before threads get it: MJML, CSS, text of HTML.
import type { Campaign, TemplateSource, Variant } from '../mail/campaign.ts';
import type { PartialBreaks } from './block_elements.ts';
import { inlineCss } from './css.ts';
import { makeHtml } from './mjml.ts';
import { findInstalled, type PackageFinder } from './optional_package.ts';
import { makeTextTemplate } from './text_from_html.ts';
import { makeTextPartials, measurePartials } from './text_partials.ts';

/** The bodies of a campaign, or of one of its variants. */
type Bodies = Pick<Campaign, 'text' | 'html' | 'bodyWork' | 'originals'>;

interface Preparing {
  readonly find: PackageFinder;
  /** Of the text that partials become. */
  readonly partialBreaks: PartialBreaks;
}

/**
 * Does the body work of a campaign and of its variants; what comes back is plain data without any. Partials and layouts
 * are no part of MJML and of the tree that style sheets are inlined in; for the text that is made they become text, too.
 * Optional packages are loaded only where they are needed. Throws PosthasteErrors: ERR_PACKAGE_MISSING,
 * ERR_PACKAGE_BROKEN, ERR_MJML.
 */
export async function prepareCampaign(
  campaign: Campaign,
  find: PackageFinder = findInstalled,
): Promise<Campaign> {
  const works = [campaign, ...(campaign.variants ?? [])].flatMap(({ bodyWork }) => bodyWork ?? []);
  if (works.length === 0) return campaign;
  const partials = campaign.partials ?? {};
  const preparing = { find, partialBreaks: measurePartials(partials) };
  const prepared = await prepareBodies(campaign, preparing);
  const variants: Variant[] = [];
  for (const variant of campaign.variants ?? []) variants.push(await prepareBodies(variant, preparing));
  const textPartials = works.some(({ makesText }) => makesText)
    ? makeTextPartials(partials, preparing.partialBreaks)
    : undefined;
  return { ...prepared, variants: campaign.variants && variants, textPartials };
}

async function prepareBodies<T extends Bodies>(bodies: T, { find, partialBreaks }: Preparing): Promise<T> {
  const { bodyWork: work, html: written } = bodies;
  if (work === undefined || written === undefined) return bodies;
  let html = written;
  if (work.mjml !== undefined) html = made(written, 'as HTML', await makeHtml(written, work.mjml, find));
  const text = work.makesText ? makeText(written, html.source, partialBreaks) : bodies.text;
  if (work.inlinesCss) html = made(written, 'with its CSS inlined', await inlineCss(html.source, find));
  const originals = html === written ? [] : [written];
  return {
    ...bodies,
    bodyWork: undefined,
    text,
    html,
    originals: [...(bodies.originals ?? []), ...originals],
  };
}

function makeText(written: TemplateSource, html: string, breaks: PartialBreaks): TemplateSource {
  return { ...made(written, 'as text', makeTextTemplate(html, breaks)), isTextOfHtml: true };
}

/** Lines and columns are those of what was made, and the name says so. */
function made({ file }: TemplateSource, how: string, source: string): TemplateSource {
  return { file: `${file} (${how})`, line: 1, source };
}
