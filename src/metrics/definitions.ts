// The metrics that Posthaste exposes: one table, from which the recorder makes them and the documentation prints them.

interface Definition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Labels with few values, none of which comes from a list or a reply. */
  readonly labels: readonly string[];
  /** One sentence, for the scrape and for the documentation. */
  readonly help: string;
  /** When somebody should look at it; empty where it is for looking around only. */
  readonly alertOn: string;
}

/** By name. `relay` is a relay's name in the configuration. */
export const definitions = {
  posthaste_build_info: {
    type: 'gauge',
    labels: ['version', 'node'],
    help: 'Always 1; the labels say which Posthaste runs on which Node.',
    alertOn: 'absent: the process is gone',
  },
  posthaste_rows_total: {
    type: 'counter',
    labels: ['fate'],
    help: 'Rows of lists that ended, by what became of them.',
    alertOn: '',
  },
  posthaste_outcomes_total: {
    type: 'counter',
    labels: ['relay', 'kind'],
    help: 'Attempts at recipients, by what they came to.',
    alertOn: 'no increase of `accepted` while recipients are pending; any increase of `inDoubt`',
  },
  posthaste_replies_total: {
    type: 'counter',
    labels: ['relay', 'class', 'stage'],
    help: 'Replies that decided an attempt, by class of reply code and by the SMTP stage they came in.',
    alertOn: '',
  },
  posthaste_rejections_total: {
    type: 'counter',
    labels: ['relay', 'category'],
    help: 'Attempts that ended for good (5yz), by category of the reply.',
    alertOn: 'share of `no-such-recipient` above 2 %; any increase of `reputation` or `authentication`',
  },
  posthaste_deferrals_total: {
    type: 'counter',
    labels: ['relay', 'category'],
    help: 'Attempts that are followed by another (4yz), by category of the reply.',
    alertOn: 'a steady increase of `rate-limited` or `relay-quota`: lower the rate',
  },
  posthaste_transaction_seconds: {
    type: 'histogram',
    labels: ['relay', 'stage'],
    help: 'Time of an SMTP transaction, from MAIL to the reply that decided it, by the stage of that reply.',
    alertOn: 'a 95th percentile many times its usual value: the relay is slowing down',
  },
  posthaste_campaigns_running: {
    type: 'gauge',
    labels: [],
    help: 'Campaigns that have started in this process and are not finished.',
    alertOn: '',
  },
  posthaste_relay_up: {
    type: 'gauge',
    labels: ['relay'],
    help: '1 while a relay takes messages as far as we know, 0 after it failed.',
    alertOn: '0 for more than a minute',
  },
  posthaste_relay_failures_total: {
    type: 'counter',
    labels: ['relay', 'category'],
    help: 'Times a relay went from taking messages to failing, by category of the reason.',
    alertOn: 'any increase of `relay-auth`: the password is wrong or the account is closed',
  },
  posthaste_pending_recipients: {
    type: 'gauge',
    labels: [],
    help: 'Recipients in the ledger that have no fate yet.',
    alertOn: '',
  },
  posthaste_pending_batches: {
    type: 'gauge',
    labels: [],
    help: 'Batches in the ledger that have recipients without a fate.',
    alertOn: '',
  },
  posthaste_oldest_due_timestamp_seconds: {
    type: 'gauge',
    labels: [],
    help: 'When the pending batch that is due first is or was due, campaigns outside of their send windows left out; absent while there is none.',
    alertOn: 'more than 15 minutes ago: sending does not keep up, or stands still',
  },
  posthaste_sessions: {
    type: 'gauge',
    labels: ['relay', 'state'],
    help: 'SMTP sessions that are connecting, those that are open, and those of the open ones that are busy with a transaction.',
    alertOn: '',
  },
  posthaste_transactions_in_flight: {
    type: 'gauge',
    labels: ['relay'],
    help: 'Transactions on the wire, over all sessions.',
    alertOn: '',
  },
  posthaste_transaction_window: {
    type: 'gauge',
    labels: ['relay'],
    help: 'How many transactions the open sessions may have on the wire; with `pipelining: deep` it follows the relay’s pace.',
    alertOn: '',
  },
  posthaste_permit_wait_seconds_total: {
    type: 'counter',
    labels: ['relay'],
    help: 'Time in which sessions had room for a message and no permit was granted, summed over threads.',
    alertOn: '',
  },
  posthaste_worker_threads: {
    type: 'gauge',
    labels: [],
    help: 'Threads that compose and send.',
    alertOn: '',
  },
  posthaste_worker_active_seconds_total: {
    type: 'counter',
    labels: [],
    help: 'Time that the event loops of the worker threads were busy, summed over threads.',
    alertOn: 'its rate above 0.9 of posthaste_worker_threads: the processor is the limit, not the relay',
  },
  posthaste_sample_failures_total: {
    type: 'counter',
    labels: [],
    help: 'Scrapes that could not read the state of ledger and sessions and left its metrics out.',
    alertOn: 'any increase',
  },
  posthaste_lane_outcomes_total: {
    type: 'counter',
    labels: ['lane', 'kind'],
    help: 'Attempts at recipients by configured lane, all domains without one as `other`.',
    alertOn: '',
  },
  posthaste_lane_rejections_total: {
    type: 'counter',
    labels: ['lane', 'category'],
    help: 'Attempts that ended for good (5yz), by configured lane and category of the reply.',
    alertOn: 'any increase of `reputation` or `authentication`',
  },
  posthaste_compose_seconds: {
    type: 'histogram',
    labels: ['relay'],
    help: 'Time to compose and sign a message.',
    alertOn: '',
  },
  posthaste_permit_wait_seconds: {
    type: 'histogram',
    labels: ['relay'],
    help: 'How long a thread’s sessions with room for a message waited for a permit, each time.',
    alertOn: '',
  },
  posthaste_end_to_end_seconds: {
    type: 'histogram',
    labels: ['relay'],
    help: 'From when a recipient was due first until the relay took the message, in the ledger.',
    alertOn: '',
  },
  posthaste_commit_seconds: {
    type: 'histogram',
    labels: ['store'],
    help: 'Time of a transaction of the ledger, checkpoints among them, and of a write of a thread’s journal.',
    alertOn: 'a 99th percentile above a second: the disk is slow',
  },
  posthaste_state_bytes: {
    type: 'gauge',
    labels: ['store'],
    help: 'Size of the ledger and of the journals on disk.',
    alertOn: 'a journal that grows for an hour: what is sent is not settled',
  },
  posthaste_relay_state: {
    type: 'gauge',
    labels: ['relay', 'state'],
    help: '1 for the state that a relay is in: up, throttled, stopped, down or paused.',
    alertOn: '`down`: it is not tried any more until somebody resumes it',
  },
  posthaste_relay_rate_factor: {
    type: 'gauge',
    labels: ['relay'],
    help: 'What the governor leaves of a relay’s rate; 1 is all.',
    alertOn: 'below 0.5 for ten minutes: the relay wants less',
  },
  posthaste_relay_sessions_allowed: {
    type: 'gauge',
    labels: ['relay'],
    help: 'Sessions that the governor allows a relay now; at most its maxConnections.',
    alertOn: '',
  },
  posthaste_limit_grants_total: {
    type: 'counter',
    labels: ['limit'],
    help: 'Permits that a limit granted: messages, or with `bytes` or `connectionRate` behind its name bytes or new sessions; those of campaigns together as `campaign`, and so lanes of no name.',
    alertOn: '',
  },
  posthaste_limit_waits_total: {
    type: 'counter',
    labels: ['limit'],
    help: 'Times that a limit was the one to hold a message up.',
    alertOn: '',
  },
  posthaste_limit_hold_seconds: {
    type: 'gauge',
    labels: ['limit'],
    help: 'How much longer a limit lets nobody go, as far as is known; hours where a day’s quota is used up.',
    alertOn: '',
  },
  posthaste_mx_look_ups_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Look-ups of MX records for lanes, with `lanes.mx`: whether a lane’s operator or another has the domain, or why it is not known; `skipped` were not asked, since the DNS had been silent.',
    alertOn:
      'any increase of `silent` together with `skipped`: the DNS does not answer, and domains have only the lanes of their names',
  },
  posthaste_batches_in_hand: {
    type: 'gauge',
    labels: [],
    help: 'Batches that the threads have.',
    alertOn: '',
  },
  posthaste_campaigns: {
    type: 'gauge',
    labels: ['state'],
    help: 'Campaigns that the daemon keeps, by state.',
    alertOn: '`failed` above 0; `paused` that nobody has paused',
  },
  posthaste_loop_lag_seconds: {
    type: 'gauge',
    labels: ['thread'],
    help: 'How late the event loop of a thread was at worst, lately.',
    alertOn: 'above a second: it computes too long, or the machine is overloaded',
  },
  posthaste_config_last_reload_successful: {
    type: 'gauge',
    labels: [],
    help: '1 where the configuration that was read last was good.',
    alertOn: '0: the file is bad, and the one before is in force',
  },
  posthaste_config_last_reload_success_timestamp_seconds: {
    type: 'gauge',
    labels: [],
    help: 'When a good configuration was read last.',
    alertOn: '',
  },
  posthaste_events_lost_total: {
    type: 'counter',
    labels: [],
    help: 'Events that the event log lacks because it could not be written.',
    alertOn: 'any increase: the disk of the event log is full',
  },
  posthaste_event_log_sound: {
    type: 'gauge',
    labels: [],
    help: '1 while the event log can be written; of a daemon.',
    alertOn: '0 for five minutes: it gathers what it can, and then loses events',
  },
} as const satisfies Record<string, Definition>;

/** States of `posthaste_relay_state`. */
export const relayStates = ['up', 'throttled', 'stopped', 'down', 'paused'] as const;

export type MetricName = keyof typeof definitions;

/** The table as Markdown, ending in a newline. A test holds the documentation to it. */
export function metricsTable(): string {
  const rows = Object.entries(definitions).map(([name, { type, labels, help, alertOn }]) => {
    const labelList = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${labelList} | ${help} | ${alertOn} |`;
  });
  return ['| metric | type | labels | meaning | alert on |', '|---|---|---|---|---|', ...rows, ''].join('\n');
}
