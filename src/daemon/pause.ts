// When a campaign is paused: the rules of its file, and the error that a run ends with.
import { ExitCode, PosthasteError } from '../base/error.ts';
import type { GuardPause, GuardRules } from '../schedule/campaign_guard.ts';

export interface PauseAbove {
  readonly senderRefusals: number;
  /** A share; undefined for no limit. */
  readonly rejected?: number | undefined;
  /** Likewise. */
  readonly complaints?: number | undefined;
  readonly of: number;
}

/** Mixed with other outcomes, so many refusals of the sender among the last are as bad as some in a row. */
const senderShare = { share: 0.5, of: 200 };

export function guardRules({ senderRefusals, rejected, complaints, of }: PauseAbove): GuardRules {
  return {
    senderRefusalsInARow: senderRefusals,
    senderRefusals: senderShare,
    rejected: rejected === undefined ? undefined : { share: rejected, of },
    complaints: complaints === undefined ? undefined : { share: complaints, of },
  };
}

const cures: Record<GuardPause['kind'], string> = {
  senderRefused: 'mend what the reply says',
  rejected: 'look at where the list comes from',
  complaints: 'look at who got on the list, and whether they can get off it',
  threadsDied: 'this is a bug of Posthaste: report it with what the log says, and send to that row otherwise',
};

/** What the run ends with. Nobody but those named in the reason has got a fate by it. */
export function pausedError(campaign: string, pause: GuardPause): PosthasteError {
  const { text } = pause;
  return new PosthasteError({
    code: 'ERR_CAMPAIGN_PAUSED',
    message: `campaign "${campaign}" is paused: ${text}`,
    hint: `${cureOf(pause)}; then the same command goes on, and posthaste retry sends to those who were rejected`,
    exitCode: ExitCode.tempFail,
  });
}

function cureOf({ kind, verdict }: GuardPause): string {
  const isOurs = kind === 'senderRefused' && verdict?.replyCode === 0;
  return isOurs ? 'raise the limit, or send less in a message' : cures[kind];
}
