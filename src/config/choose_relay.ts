// The relay that a campaign goes to.
import { ExitCode, PosthasteError } from '../base/error.ts';
import type { CampaignFile } from './load_campaign.ts';
import type { Config } from './load_config.ts';
import type { RelayConfig } from './relay.ts';
import { suggestWord } from './suggest.ts';

/** The relays that a campaign goes by, as `chooseRelay` says. */
export function chooseRelays(
  config: Pick<Config, 'relays' | 'relayOverride'>,
  { relay, relays }: Pick<CampaignFile, 'relay' | 'relays'>,
): { readonly relays: readonly RelayConfig[]; readonly shares: NonNullable<CampaignFile['relays']> } {
  if (relays === undefined || config.relayOverride !== undefined) {
    const only = chooseRelay(config, relay);
    return { relays: [only], shares: [{ name: only.name, weight: 1, rank: 0 }] };
  }
  return { relays: relays.map(({ name }) => chooseRelay(config, name)), shares: relays };
}

/**
 * The command line's relay, else the one that the campaign names, else the only one there is. Throws
 * ERR_RELAY_UNKNOWN or ERR_RELAY_NOT_CHOSEN with exit code 78.
 */
export function chooseRelay(
  config: Pick<Config, 'relays' | 'relayOverride'>,
  wanted: string | undefined,
): RelayConfig {
  if (config.relayOverride !== undefined) return config.relayOverride;
  const names = [...config.relays.keys()];
  const only = names.length === 1 ? names[0] : undefined;
  const found = config.relays.get(wanted ?? only ?? '');
  if (found !== undefined) return found;
  const known = names.length === 0 ? 'there are none' : `there are ${names.join(', ')}`;
  if (wanted === undefined) {
    throw new PosthasteError({
      code: 'ERR_RELAY_NOT_CHOSEN',
      message: `the campaign names no relay, and the configuration has not exactly one: ${known}`,
      hint: 'Name one with "relay:" in the campaign, or with --relay URL.',
      exitCode: ExitCode.config,
    });
  }
  const suggestion = suggestWord(wanted, names);
  throw new PosthasteError({
    code: 'ERR_RELAY_UNKNOWN',
    message: `the configuration has no relay "${wanted}": ${known}${suggestion === undefined ? '' : `; did you mean "${suggestion}"?`}`,
    hint: 'Correct "relay:" in the campaign, or add the relay to the configuration file (--config).',
    exitCode: ExitCode.config,
  });
}
