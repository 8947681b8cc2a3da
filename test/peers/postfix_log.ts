// What Postfix's log says about the sessions that it had.
import { waitUntil } from './waiting.ts';

export interface SessionCounts {
  /** Sessions in which there was a MAIL, and that are over. */
  readonly sessions: number;
  readonly mail: number;
  readonly rcpt: number;
  readonly data: number;
  readonly bdat: number;
}

/** Waits until the sessions are over in which there were so many MAIL, and counts what else there was in them. */
export async function countSessions(log: () => string, mail: number): Promise<SessionCounts> {
  const describe = (): string => `sessions with ${mail} MAIL in all have ended:\n${log()}`;
  await waitUntil(() => countEnded(log()).mail >= mail, 10_000, describe);
  return countEnded(log());
}

/** Postfix logs at the end of a session how many commands it got: `rcpt=2/3` are two good ones of three. */
function countEnded(log: string): SessionCounts {
  const ends = log.split('\n').filter((line) => /: disconnect from .* mail=/.test(line));
  const count = (command: string): number => {
    const counted = ends.map((line) => new RegExp(` ${command}=(?:\\d+/)?(\\d+)`).exec(line)?.[1]);
    return counted.reduce((sum, one) => sum + Number(one ?? 0), 0);
  };
  return {
    sessions: ends.length,
    mail: count('mail'),
    rcpt: count('rcpt'),
    data: count('data'),
    bdat: count('bdat'),
  };
}
