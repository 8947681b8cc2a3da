// A daemon within the test's own process, so that a test can stand between it and its ledger, store and configuration.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import { loadConfig, type Config } from '../../src/config/load_config.ts';
import { Daemon } from '../../src/daemon/daemon.ts';
import type { KeptCampaign } from '../../src/daemon/kept_campaign.ts';
import { openLog, type Log } from '../../src/daemon/log.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { campaignYaml, Folder } from '../cli/posthaste.ts';

/** With a sandbox for a relay. Daemons that a test opens one after the other have one state directory. */
export async function openKeeping(context: TestContext, relay = 'maxConnections: 5') {
  const sandbox = await startSandbox({ keep: 'messages' });
  context.after(() => sandbox.close());
  const folder = new Folder(context);
  const primary = `{ host: 127.0.0.1, port: ${sandbox.port}, tls: none, ${relay} }`;
  folder.write('posthaste.yaml', `state: state\nthreads: 1\nrelays:\n  primary: ${primary}\n`);
  const load = () => loadConfig(join(folder.path, 'posthaste.yaml'), {}, {});
  return {
    sandbox,
    folder,
    load,
    stateDir: join(folder.path, 'state'),
    /** Not started; stopped at the latest when the test ends. */
    open: (config: Config = load()): Daemon => {
      const daemon = new Daemon(config, silentLog());
      context.after(async () => {
        daemon.stop('now');
        await daemon.over().catch(() => {});
      });
      return daemon;
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

export function silentLog(): Log {
  return openLog({ level: 'silent', style: 'json', hide: undefined }, process.stderr);
}

/** Hands a list over, as the API does. */
export async function submit(daemon: Daemon, list: string, yaml = campaignYaml): Promise<KeptCampaign> {
  const { store } = daemon;
  const id = store.begin();
  await store.putFile(id, 'campaign.yaml', Readable.from([Buffer.from(yaml)]));
  await store.putList(id, 'list.csv', Readable.from([Buffer.from(list)]));
  return daemon.accept(id, {});
}

export async function stop(daemon: Daemon): Promise<void> {
  daemon.stop('drain');
  await daemon.over();
}

/** Waits until something is so. */
export async function until(isSo: () => boolean | Promise<boolean>, what = 'it'): Promise<void> {
  for (let tries = 0; tries < 2000; tries += 1) {
    if (await isSo()) return;
    await sleep(5);
  }
  assert.fail(`${what} was waited for in vain`);
}

export class Blockade {
  readonly #met = Promise.withResolvers<void>();
  readonly #gate = Promise.withResolvers<void>();
  /** How many have come to it. */
  count = 0;

  /** Resolves once somebody stands before it. */
  get met(): Promise<void> {
    return this.#met.promise;
  }

  letGo(): void {
    this.#gate.resolve();
  }

  pass(): Promise<void> {
    this.count += 1;
    this.#met.resolve();
    return this.#gate.promise;
  }
}

/** Lets nobody read the rows of earlier lists, which is what a run does with a later list before it takes it. */
export function blockEarlierRows(ledger: Ledger): Blockade {
  const blockade = new Blockade();
  const own = ledger.readRows.bind(ledger);
  ledger.readRows = async function* (...args) {
    await blockade.pass();
    yield* own(...args);
  };
  return blockade;
}

/** Lets no list come to its end. */
export function blockCompletion(ledger: Ledger): Blockade {
  const blockade = new Blockade();
  const own = ledger.completeIntake.bind(ledger);
  ledger.completeIntake = async (...args) => {
    await blockade.pass();
    return own(...args);
  };
  return blockade;
}

/** Lets nothing of a list be stored. */
export function blockIntake(ledger: Ledger): Blockade {
  const blockade = new Blockade();
  const own = ledger.storeIntake.bind(ledger);
  ledger.storeIntake = async (...args) => {
    await blockade.pass();
    return own(...args);
  };
  return blockade;
}
