// The progress line: one line on a terminal, redrawn in place; nothing anywhere else.
import { unreachable } from '../base/invariant.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import type { Tally } from '../mail/outcome.ts';
import { count } from './print.ts';

const redrawEveryMs = 200;
/** Of a terminal that does not tell its width, and says 0. */
const unknownColumns = 80;

export interface Progress {
  note(event: PosthasteEvent): void;
  /** Ends the line, so that what is printed next begins on its own. */
  close(): void;
}

/** A progress line on `stream` if that is a terminal. `describeHold` names the limit that binds, and until when. */
export function openProgress(
  stream: NodeJS.WriteStream,
  campaign: string,
  describeHold: () => string | undefined,
): Progress {
  if (!stream.isTTY) return { note: () => {}, close: () => {} };
  const state = { rows: 0, ended: 0, accepted: 0, deferred: 0, trouble: '' };
  const startedAt = performance.now();
  const draw = (): void => {
    const trouble = state.trouble || (describeHold() ?? '');
    const line = progressLine(campaign, { ...state, trouble }, (performance.now() - startedAt) / 1000);
    stream.write(`\r\u001b[K${line.slice(0, Math.max((stream.columns || unknownColumns) - 1, 20))}`);
  };
  const timer = setInterval(draw, redrawEveryMs);
  return {
    note: (event) => noteEvent(state, event),
    close: () => {
      clearInterval(timer);
      draw();
      stream.write('\n');
    },
  };
}

interface ProgressState {
  /** Read from the list. */
  rows: number;
  /** With a fate, in this run. */
  ended: number;
  accepted: number;
  /** Attempts that were put off, in this run. */
  deferred: number;
  trouble: string;
}

function noteEvent(state: ProgressState, event: PosthasteEvent): void {
  switch (event.kind) {
    case 'intakeProgressed':
      state.rows = event.rows;
      state.ended += event.invalid + event.duplicate;
      return;
    case 'campaignRecovered':
      return noteFates(state, event.fates);
    case 'batchSettled':
      if (state.trouble.startsWith('waits')) state.trouble = '';
      noteFates(state, event.fates);
      for (const outcome of event.outcomes) if (outcome.kind === 'deferred') state.deferred += outcome.count;
      return;
    case 'relayFailed':
      state.trouble = `relay ${event.relay}: ${event.verdict.text}`;
      return;
    case 'relayRecovered':
      state.trouble = '';
      return;
    case 'campaignWaits':
      state.trouble = `waits until ${new Date(event.untilAt).toISOString()}`;
      return;
    case 'campaignStarted':
    case 'campaignFinished':
    case 'listAdded':
    case 'rowsEnded':
    case 'threadDied':
    case 'doubtFound':
    case 'recipientsSettled':
    case 'campaignAccepted':
    case 'campaignSteered':
    case 'campaignFailed':
    case 'relaySteered':
    case 'configReloaded':
      return;
    default:
      unreachable(event);
  }
}

function noteFates(state: ProgressState, fates: Readonly<Partial<Tally>>): void {
  for (const [fate, more] of Object.entries(fates)) {
    state.ended += more;
    if (fate === 'accepted') state.accepted += more;
  }
}

/** "spring-sale  8,120 of 20,000  accepted 8,100  10,213/s" */
function progressLine(campaign: string, state: ProgressState, seconds: number): string {
  const parts = [
    campaign,
    `${count(state.ended)} of ${count(state.rows)} rows`,
    `accepted ${count(state.accepted)}`,
    ...(state.deferred > 0 ? [`deferred ${count(state.deferred)}`] : []),
    `${count(state.ended / Math.max(seconds, 0.001))}/s`,
    ...(state.trouble === '' ? [] : [state.trouble]),
  ];
  return parts.join('  ');
}
