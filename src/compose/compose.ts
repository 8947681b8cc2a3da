// Campaign + recipient → message: the door to composing, for those who check campaigns and those who send them.
import { invariant } from '../base/invariant.ts';
import type { Campaign, CampaignPlan } from '../mail/campaign.ts';
import { makeVariantChooser, withVariant } from '../mail/variant.ts';
import type { Recipient } from '../mail/recipient.ts';
import { checkNames } from './campaign_names.ts';
import { RenderFailure } from './cell.ts';
import { nameColumns } from './columns.ts';
import { findFileColumns } from './file_columns.ts';
import { compileProgram, parseTemplates } from './program.ts';
import { makeHouse } from './template.ts';
import { writeMessage, type Message } from './write_message.ts';

/** A message, or why this recipient gets none. */
export type Composed = Message | { readonly kind: 'invalid'; readonly reason: string };

export interface Composer {
  /** Composes the message of one recipient; `at` (ms since the epoch) is its Date. What is wrong with a recipient is returned. */
  compose(recipient: Recipient, at: number): Composed;
}

/**
 * Compiles a campaign. The composer keeps state between calls and belongs to one thread.
 * Throws PosthasteError: what `checkTemplates` throws, and ERR_CAMPAIGN_HEADER.
 */
export function compileCampaign(plan: CampaignPlan): Composer {
  const { name, variants } = plan.campaign;
  const programs = variantsOf(plan.campaign).map((campaign) => compileProgram({ ...plan, campaign }));
  const choose = variants === undefined ? () => 0 : makeVariantChooser(name, variants);
  return {
    compose(recipient, at) {
      const program = programs[choose(recipient.row)];
      invariant(program !== undefined, 'every row has a variant');
      try {
        return writeMessage(program, recipient, at);
      } catch (thrown) {
        if (thrown instanceof RenderFailure) return { kind: 'invalid', reason: thrown.message };
        throw thrown;
      }
    },
  };
}

/**
 * Checks the templates of a campaign against a list's columns, before anything is sent.
 * Throws PosthasteError: ERR_TEMPLATE_SYNTAX (file:line:column), ERR_TEMPLATE_UNKNOWN_VARIABLE (names the variable,
 * where it stands and the column that is most like it), ERR_ATTACHMENT_UNKNOWN_COLUMN likewise, ERR_CAMPAIGN_DATA, and for
 * values in places that take none ERR_TEMPLATE_PLACE, _LINK, _RAW, _PARTIAL, _FILTER.
 */
export function checkTemplates(campaign: Campaign, columns: readonly string[]): void {
  const names = nameColumns(columns);
  checkNames(campaign, names);
  for (const one of variantsOf(campaign)) {
    const house = makeHouse(one, names);
    parseTemplates(house);
    findFileColumns(house);
  }
}

/** The campaign, once for each variant that it has. */
function variantsOf(campaign: Campaign): readonly Campaign[] {
  return campaign.variants?.map((variant) => withVariant(campaign, variant)) ?? [campaign];
}
