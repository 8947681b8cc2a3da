// The options of a daemon's engine, as its configuration says.
import type { Config } from '../config/load_config.ts';
import type { EngineOptions } from './threads.ts';

export function engineOptionsOf(config: Config): EngineOptions {
  return {
    stateDir: config.stateDir,
    durability: config.durability,
    threads: config.threads,
    relays: config.relayOverride === undefined ? [...config.relays.values()] : [config.relayOverride],
    dkim: config.dkim,
    pace: config.pace,
    lanes: config.lanes,
    fromDomains: config.fromDomains,
    drainTimeoutMs: config.drainTimeoutMs,
    isPatient: true,
    tellsRecipients: config.events.recipients,
  };
}
