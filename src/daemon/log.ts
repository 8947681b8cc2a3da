// The log: pino, one fact a line, on stderr.
import { pino, type Logger } from 'pino';
import { unreachable } from '../base/invariant.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import { describeList } from './describe_list.ts';

export type Log = Logger;

/**
 * Opens the log. Lines are written at once: what is said before a crash is there after it. Configuration objects are
 * never logged; what could hold a secret is redacted all the same.
 */
export function openLog(level: string, stream: NodeJS.WritableStream): Log {
  return pino(
    {
      level,
      base: null,
      redact: { paths: ['pass', '*.pass', '*.*.pass', 'auth', '*.auth'], censor: '***' },
    },
    stream,
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
    case 'intakeProgressed':
    case 'batchSettled':
    case 'rowsEnded':
      return log.debug(event, event.kind);
    default:
      unreachable(event);
  }
}
