// The log: pino, one fact a line, on stderr.
import { pino, type Logger } from 'pino';
import { unreachable } from '../base/invariant.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import { describeList } from './describe_list.ts';
import { styleLine, type LogStyle } from './log_style.ts';

export type Log = Logger;

export interface LogOptions {
  readonly level: string;
  readonly style: LogStyle;
  /** What is done to each line; undefined for nothing. */
  readonly hide: ((text: string) => string) | undefined;
}

/**
 * Opens the log. Lines are written at once: what is said before a crash is there after it. Configuration objects are
 * never logged; what could hold a secret is redacted all the same.
 */
export function openLog({ level, style, hide }: LogOptions, stream: NodeJS.WritableStream): Log {
  return pino(
    {
      level,
      base: null,
      redact: { paths: ['pass', '*.pass', '*.*.pass', 'auth', '*.auth'], censor: '***' },
    },
    {
      write: (line: string) => {
        const styled = styleLine(line, style);
        stream.write(hide === undefined ? styled : hide(styled));
      },
    },
  );
}

/** Says in the log what a reader at three in the morning would look for. */
export function logEvent(log: Log, event: PosthasteEvent): void {
  switch (event.kind) {
    case 'campaignStarted':
      return log.info({ campaign: event.campaign }, 'campaign started');
    case 'campaignRecovered': {
      const { campaign, outcomes, inDoubt, action } = event;
      for (const problem of event.problems) log.warn({ campaign }, problem);
      log[inDoubt > 0 ? 'warn' : 'info']({ campaign, outcomes, inDoubt, action }, 'campaign recovered');
      return undefined;
    }
    case 'threadDied':
      return log.error({ campaign: event.campaign, reason: event.reason }, 'a sending thread died');
    case 'doubtFound': {
      const { campaign, inDoubt, action } = event;
      return log.warn({ campaign, inDoubt, action }, 'in doubt: the relay may have these messages');
    }
    case 'campaignFinished':
      return log.info({ campaign: event.campaign, ...event.tally }, 'campaign finished');
    case 'listAdded': {
      const { campaign, rows, known } = event;
      return log.info({ campaign, rows, known, fresh: rows - known }, `list added: ${describeList(event)}`);
    }
    case 'campaignWaits': {
      const until = new Date(event.untilAt).toISOString();
      return log.info({ campaign: event.campaign, until }, 'campaign waits for its time');
    }
    case 'relayFailed':
      // Somebody has to do something: no patience mends credentials.
      return log[event.verdict.category === 'relay-auth' ? 'error' : 'warn'](
        { relay: event.relay, verdict: event.verdict },
        'relay failed',
      );
    case 'relayRecovered':
      return log.info({ relay: event.relay }, 'relay takes messages again');
    case 'campaignAccepted':
      return log.info({ campaign: event.campaign }, 'campaign accepted');
    case 'campaignSteered': {
      const { campaign, change, text } = event;
      return log.info({ campaign, change, text }, 'campaign steered');
    }
    case 'campaignFailed': {
      const { campaign, code, reason } = event;
      return log.error({ campaign, code, reason }, 'campaign cannot go on');
    }
    case 'relaySteered':
      return log.info({ relay: event.relay, change: event.change }, 'relay steered');
    case 'configReloaded': {
      const { problems, applied } = event;
      return log[problems.length > 0 ? 'error' : 'info']({ problems, applied }, 'configuration read again');
    }
    case 'intakeProgressed':
    case 'batchSettled':
    case 'rowsEnded':
    case 'recipientsSettled':
      return log.debug(event, event.kind);
    default:
      unreachable(event);
  }
}
