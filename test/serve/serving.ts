// A real daemon in a folder of its own, with a sandbox for a relay; driven by the command line and by the API.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { ControlClient, type ClientRequest } from '../../src/control/client.ts';
import * as answers from '../../src/control/answers.ts';
import type { SandboxOptions } from '../../src/sandbox/options.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import {
  campaignYaml,
  Folder,
  makeList,
  type Ended,
  type Running,
  type StartOptions,
} from '../cli/posthaste.ts';

export interface ServingOptions {
  readonly sandbox?: SandboxOptions;
  /** Keys of the relay beside its place. */
  readonly relay?: string;
  /** More lines of the configuration. */
  readonly config?: string;
  readonly state?: string;
  readonly env?: Record<string, string>;
}

export type Serving = Awaited<ReturnType<typeof openServing>>;

/** Not started yet. Files: `campaign.yaml`, `list.csv` with `rows` recipients. */
export async function openServing(context: TestContext, rows: number, options: ServingOptions = {}) {
  const sandbox = await startSandbox({ keep: 'envelopes', ...options.sandbox });
  context.after(() => sandbox.close());
  const folder = new Folder(context, {
    'campaign.yaml': campaignYaml,
    'list.csv': makeList(rows),
    'posthaste.yaml': configOf(sandbox, options),
  });
  const state = options.state ?? join(folder.path, 'state');
  const client = new ControlClient({ kind: 'socket', path: join(state, 'control.sock') });
  const env = options.env ?? {};
  let daemon: Running | undefined;
  const call = (request: ClientRequest): Promise<unknown> => client.call(request);
  const show = async (name = 'spring') =>
    answers.campaign.parse(await call({ method: 'GET', path: `/v1/campaigns/${name}` }));
  return {
    sandbox,
    folder,
    client,
    call,
    show,
    /** Starts the daemon and waits until it says that it is ready. */
    start: async (start: StartOptions = {}): Promise<Running> => {
      daemon = folder.start(['serve'], { env, ...start });
      const ended = daemon.ended.then(({ stderr }) => assert.fail(`it ended: ${stderr}`));
      // Whoever ends it later is not meant.
      ended.catch(() => {});
      await Promise.race([daemon.said(/"msg":"ready"/), ended]);
      return daemon;
    },
    stop: async (signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> => {
      assert.ok(daemon !== undefined, 'no daemon was started');
      daemon.child.kill(signal);
      return daemon.ended;
    },
    /** Runs a command of ours beside it. */
    run: (args: readonly string[], start: StartOptions = {}): Promise<Ended> =>
      folder.run(args, { env, ...start }),
    /** Runs a command that must end well; returns what is on stdout. */
    ok: async (args: readonly string[], start: StartOptions = {}): Promise<string> => {
      const { code, stdout, stderr } = await folder.run(args, { env, ...start });
      assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
      return stdout;
    },
    /** Submits a campaign by the API, which takes a tenth of what a command takes. */
    submit: async (campaign: string, list: string): Promise<void> => {
      const { submission } = answers.begun.parse(await call({ method: 'POST', path: '/v1/submissions' }));
      const at = `/v1/submissions/${submission}`;
      const put = (path: string, text: string): Promise<unknown> =>
        call({ method: 'PUT', path: `${at}/${path}`, body: new Blob([text]).stream() });
      await put('files/campaign.yaml', campaign);
      await put('list/list.csv', list);
      await call({ method: 'POST', path: `${at}/commit`, json: {} });
    },
    /** Waits until a campaign is as wished. */
    until: async (
      isMeant: (campaign: answers.CampaignView) => boolean,
      name = 'spring',
    ): Promise<answers.CampaignView> => {
      for (let tries = 0; tries < 3000; tries += 1) {
        const campaign = await show(name).catch(() => undefined);
        if (campaign !== undefined && isMeant(campaign)) return campaign;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return assert.fail(
        `campaign ${name} is ${JSON.stringify(await show(name))}; daemon:\n${daemon?.text()}`,
      );
    },
    /** How often the relay took a message for each address. */
    taken: (): Map<string, number> => {
      const counts = new Map<string, number>();
      for (const { recipients } of sandbox.messages())
        for (const address of recipients) counts.set(address, (counts.get(address) ?? 0) + 1);
      return counts;
    },
  };
}

export function isFinished({ state }: answers.CampaignView): boolean {
  return state === 'finished';
}

/** Every recipient of `rows` got the message, and nobody twice. */
export function assertEachOnce(taken: ReadonlyMap<string, number>, rows: number): void {
  assert.equal(taken.size, rows);
  assert.deepEqual(
    [...taken].filter(([, times]) => times !== 1),
    [],
  );
}

function configOf(
  { port }: Sandbox,
  { relay = 'maxConnections: 5', config = '', state = 'state' }: ServingOptions,
): string {
  return `state: ${state}
relays:
  primary: { host: 127.0.0.1, port: ${port}, tls: none, ${relay} }
${config}`;
}
