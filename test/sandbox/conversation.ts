// Talks to a session without a socket, with the input cut in any way.
import assert from 'node:assert/strict';
import { FaultPlan } from '../../src/sandbox/fault_plan.ts';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import type { KeptMessage } from '../../src/sandbox/kept_message.ts';
import { type SandboxOptions, settleSession } from '../../src/sandbox/options.ts';
import { Session } from '../../src/sandbox/session.ts';
import { emptyStats, type SandboxStats } from '../../src/sandbox/stats.ts';
import type { Ending, Step } from '../../src/sandbox/answers.ts';

export interface Talk {
  /** All replies; a wait shows as "[200ms]". */
  readonly output: string;
  readonly ending: Ending;
  readonly stats: SandboxStats;
  readonly messages: readonly KeptMessage[];
}

/** Plays one session. Input that comes during a wait is taken as it comes, and the wait ends after it. */
export function talk(options: SandboxOptions, chunks: readonly Buffer[]): Talk {
  const messages: KeptMessage[] = [];
  const stats = { ...emptyStats(), openConnections: 1 };
  const plan = new FaultPlan(options.faults ?? [], options.seed ?? 1, () => 0);
  const settings = settleSession({ keep: 'messages', ...options });
  const session = new Session({ settings, plan, stats, keep: (one) => void messages.push(one) }, 1);
  const outputs: string[] = [];
  let ending: Ending = 'open';
  const follow = (first: Step): void => {
    for (let step = first; ; step = session.resume()) {
      outputs.push(step.output);
      if (step.waitMs > 0) outputs.push(`[${step.waitMs}ms]`);
      if (step.ending !== 'open') ending = step.ending;
      if (step.waitMs === 0) return;
    }
  };
  follow(session.open());
  for (const chunk of chunks) follow(session.receive(chunk));
  return { output: outputs.join(''), ending, stats, messages };
}

export function cutIntoOctets(input: Buffer): Buffer[] {
  return Array.from(input, (octet) => Buffer.from([octet]));
}

/** Plays the same input whole and octet by octet, and insists that it makes no difference. */
export function talkBothWays(options: SandboxOptions, input: string | Buffer): Talk {
  const octets = Buffer.from(input);
  const whole = talk(options, [octets]);
  const slowly = talk(options, cutIntoOctets(octets));
  assert.deepEqual(forget(slowly), forget(whole));
  return whole;
}

/** A talk without what the clock says, and without what was sent ahead: octet by octet nothing is. */
export function forget(one: Talk): unknown {
  const violations = { ...one.stats.violations, pipelining: 0 };
  const messages = one.messages.map((message) => ({ ...message, receivedAt: 0 }));
  return { ...one, stats: { ...one.stats, violations }, messages };
}

/** The replies to the lines after EHLO, which is said for them, one string a reply line. */
export function repliesTo(options: SandboxOptions, ...lines: readonly string[]): string[] {
  const greeted = talkBothWays(options, 'EHLO client.example\r\n');
  const { output } = talkBothWays(options, ['EHLO client.example', ...lines, ''].join('\r\n'));
  return output.slice(greeted.output.length).split('\r\n').slice(0, -1);
}

/** Only the reply codes. */
export function codesOf(replies: readonly string[]): string {
  return replies.map((reply) => reply.slice(0, 3)).join(' ');
}

export function withFaults(...texts: readonly string[]): SandboxOptions {
  return { faults: texts.map(parseFault) };
}
