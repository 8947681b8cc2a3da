// Linting a campaign: once, on the first message that can be made of its list, before anything of it is stored or sent.
import { ExitCode, PosthasteError } from '../base/error.ts';
import { compileCampaign } from '../compose/compose.ts';
import { lintMessage, type CampaignFacts, type Finding } from '../compose/lint.ts';
import { unpackRecipients } from '../mail/batch.ts';
import type { CampaignPlan } from '../mail/campaign.ts';

/**
 * Lints the message of the first recipient of a batch who gets one. Undefined where nobody does: the next batch may tell.
 * Throws ERR_CAMPAIGN_LINT with every finding for which providers refuse bulk mail; returns what is only advised.
 */
export function lintCampaign(
  plan: CampaignPlan,
  payload: Uint8Array,
  signingDomains: readonly string[],
  at: number,
): readonly Finding[] | undefined {
  const composer = compileCampaign(plan);
  const { unsubscribe } = plan.campaign;
  const facts: CampaignFacts = { signingDomains, declinesOneClick: unsubscribe?.oneClick === false };
  for (const recipient of unpackRecipients(payload)) {
    const composed = composer.compose(recipient, at);
    if (composed.kind === 'invalid') continue;
    const findings = lintMessage(composed.message, facts);
    const refused = findings.filter(({ severity }) => severity === 'refused');
    if (refused.length > 0) throw lintError(refused);
    return findings;
  }
  return undefined;
}

function lintError(findings: readonly Finding[]): PosthasteError {
  return new PosthasteError({
    code: 'ERR_CAMPAIGN_LINT',
    message: `Gmail, Yahoo or Microsoft would refuse this campaign:\n${findings.map(({ code, text }) => `${code}: ${text}.`).join('\n')}`,
    hint: 'Correct the campaign file; nothing was sent.',
    exitCode: ExitCode.dataError,
  });
}
