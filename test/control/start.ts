// For tests: the control API with a daemon that does only what a test says, and requests as they are on the wire.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import type { Operations } from '../../src/control/operations.ts';
import { startControl, type ControlLimits } from '../../src/control/server.ts';

export interface Started {
  readonly socketPath: string;
  /** What went to the log. */
  readonly errors: unknown[];
}

/** Ends with the test. */
export async function start(
  context: TestContext,
  deeds: Partial<Operations> = {},
  limits: Partial<ControlLimits> = {},
): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-control-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const socketPath = join(folder, 'control.sock');
  const errors: unknown[] = [];
  const control = await startControl({
    socketPath,
    socketMode: 0o660,
    tcp: undefined,
    version: '0.1.0',
    operations: { ...idle, ...deeds },
    onError: (thrown) => errors.push(thrown),
    limits,
  });
  context.after(() => control.close());
  return { socketPath, errors };
}

export async function ask(
  { socketPath }: Started,
  path: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; body: string }> {
  const asked = request({ socketPath, path, method, headers, agent: false });
  const answered = once(asked, 'response');
  asked.end();
  const [response] = await answered;
  return { status: response.statusCode, body: await text(response) };
}

/** Opens a connection for what no client would send, and gathers what comes back until it closes. */
export function openRaw({ socketPath }: Started): { socket: Socket; closed: Promise<string> } {
  const socket = connect(socketPath);
  let said = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  socket.on('error', () => {});
  return { socket, closed: once(socket, 'close').then(() => said) };
}

const notMeant = (): Promise<never> => Promise.reject(new Error('this test does not mean that'));

const idle: Operations = {
  listCampaigns: async () => [],
  showCampaign: notMeant,
  steerCampaign: notMeant,
  noteComplaints: notMeant,
  auditCampaign: notMeant,
  retryCampaign: notMeant,
  readResults: notMeant,
  findRecipient: notMeant,
  listRelays: async () => [],
  steerRelay: notMeant,
  version: () => ({ version: '0.1.0', node: '24.15.0' }),
  checkConfig: notMeant,
  reloadConfig: notMeant,
  beginSubmission: notMeant,
  putFile: notMeant,
  putList: notMeant,
  commitSubmission: notMeant,
  abandonSubmission: notMeant,
  async *followEvents() {},
};
