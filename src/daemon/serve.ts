// Serving: the daemon with its doors and watchers, from the first signal to the last.
import { ExitCode, PosthasteError } from '../base/error.ts';
import type { Config } from '../config/load_config.ts';
import { startControl, type ControlServer } from '../control/server.ts';
import { EventLog } from '../events/event_log.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import { ControlOperations } from './control_operations.ts';
import { Daemon } from './daemon.ts';
import { describeEvents, publishOnChannels } from './event_records.ts';
import { Inbox } from './inbox.ts';
import { acceptEntry } from './inbox_accept.ts';
import type { Log } from './log.ts';
import { startMetricsServer, type MetricsServer } from './metrics_server.ts';
import { createNotifier, type Notifier } from './notify.ts';
import { readProgress } from './progress.ts';
import { createReloader, type Reloader } from './reload.ts';
import { Watchdog } from './watchdog.ts';

export interface ServeOptions {
  readonly config: Config;
  /** Reads the configuration again. */
  readonly load: () => Config;
  readonly log: Log;
  /** What is done to texts that go to the event log; undefined for nothing. */
  readonly hide: ((text: string) => string) | undefined;
  readonly version: string;
}

const statusEveryMs = 5000;
/** So that systemd does not lose patience while what is in flight is finished. */
const extendByUs = 15_000_000;

/** States: open (nothing listens) → serving (`start`) → stopping → over. */
export class Service {
  readonly #options: ServeOptions;
  readonly #daemon: Daemon;
  readonly #events: EventLog;
  readonly #notifier: Notifier;
  readonly #reloader: Reloader;
  readonly #watchdog = new Watchdog();
  #control: ControlServer | undefined;
  #metrics: MetricsServer | undefined;
  #inbox: Inbox | undefined;
  #statusTimer: NodeJS.Timeout | undefined;
  #watchdogTimer: NodeJS.Timeout | undefined;

  /** Throws PosthasteErrors for what cannot be used: no relay (78), the state directory (74, 75, 78), the event log (74). */
  constructor(options: ServeOptions) {
    const { config, log } = options;
    if (config.relays.size === 0 && config.relayOverride === undefined) throw noRelay();
    this.#options = options;
    this.#daemon = new Daemon(config, log);
    this.#events = openEvents(config, log);
    this.#notifier = createNotifier(process.env, (error) => log.warn({ err: error }, 'systemd was not told'));
    this.#reloader = createReloader(this.#daemon, log, options.load);
    this.#daemon.events.subscribe((event) => this.#note(event));
  }

  /** Throws what cannot be opened or listened on; then everything is closed again. */
  async start(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      this.#daemon.stop('drain');
      await this.over().catch(() => {});
      throw error;
    }
  }

  async #open(): Promise<void> {
    const { config, version, log } = this.#options;
    await this.#daemon.start();
    // Here and below: a signal may have come meanwhile, and systemd was told that it stops.
    if (this.#daemon.isStopping) return;
    this.#metrics = await this.#startMetrics();
    // Before it says that it is ready: who reads the log knows everything by then.
    if (this.#metrics !== undefined) log.info(`metrics on ${this.#metrics.url}/metrics`);
    this.#control = await startControl({
      ...config.control,
      version,
      operations: new ControlOperations({
        daemon: this.#daemon,
        events: this.#events,
        reloader: this.#reloader,
        version,
      }),
      onError: (error) => log.error({ err: error }, 'the control API failed to answer'),
    });
    if (config.inbox !== undefined) {
      this.#inbox = new Inbox({
        ...config.inbox,
        accept: (entry, directory) => acceptEntry(this.#daemon, entry, directory),
        log,
      });
    }
    if (this.#daemon.isStopping) return;
    await this.#notifier.tell({ READY: '1', STATUS: this.#describe() });
    this.#statusTimer = setInterval(
      () => void this.#notifier.tell({ STATUS: this.#describe() }),
      statusEveryMs,
    );
    const { watchdogMs } = this.#notifier;
    if (watchdogMs !== undefined) this.#watchdogTimer = setInterval(() => this.#feed(), watchdogMs / 2);
    const tcpPort = this.#control.tcpPort;
    log.info({ socket: config.control.socketPath, ...(tcpPort === undefined ? {} : { tcpPort }) }, 'ready');
  }

  /** Resolves when it was stopped and everything is closed; throws what nothing can mend while it runs. */
  async over(): Promise<void> {
    try {
      await this.#daemon.over();
    } finally {
      await this.#close();
    }
  }

  /** drain: takes nothing new and finishes what is in flight, within `drainTimeout`. now: at once. */
  stop(how: 'drain' | 'now'): void {
    void this.#notifier.tell({
      STOPPING: '1',
      STATUS: 'finishing what is in flight',
      EXTEND_TIMEOUT_USEC: String(extendByUs + this.#daemon.config.drainTimeoutMs * 1000),
    });
    this.#daemon.stop(how);
  }

  /** Reads the configuration again; a bad file changes nothing, and the log says why. */
  async reload(): Promise<void> {
    const monotonicUs = String(process.hrtime.bigint() / 1000n);
    await this.#notifier.tell({ RELOADING: '1', MONOTONIC_USEC: monotonicUs });
    const { ok } = await this.#reloader.reload();
    await this.#notifier.tell({
      READY: '1',
      STATUS: ok ? this.#describe() : 'the new configuration is bad and was not taken',
    });
  }

  async #close(): Promise<void> {
    clearInterval(this.#statusTimer);
    clearInterval(this.#watchdogTimer);
    await this.#inbox?.close();
    await this.#control?.close();
    await this.#metrics?.close();
    this.#events.close();
  }

  #startMetrics(): Promise<MetricsServer> | undefined {
    const { config, version, log } = this.#options;
    if (config.metrics === undefined) return undefined;
    return startMetricsServer({
      ...config.metrics,
      version,
      relays:
        this.#daemon.config.relayOverride === undefined
          ? [...config.relays.keys()]
          : [config.relayOverride?.name ?? ''],
      // Of the present configuration: lanes come and go with a reload.
      isLane: (lane) => this.#daemon.config.lanes?.groups.some(({ name }) => name === lane) === true,
      events: this.#daemon.events,
      sample: async () => this.#daemon.engine.sample(),
      service: () => ({
        campaigns: this.#daemon.countByState(),
        eventsLost: this.#events.lost,
        isEventLogSound: this.#events.isSound,
      }),
      log,
      troubles: () => this.#troubles(),
    });
  }

  #troubles(): string[] {
    return this.#daemon.trouble === undefined ? [] : [this.#daemon.trouble];
  }

  #note(event: PosthasteEvent): void {
    const { hide } = this.#options;
    for (const record of describeEvents(event))
      this.#events.append(hide === undefined ? record : hideIn(record, hide));
    publishOnChannels(event);
  }

  #describe(): string {
    const { trouble, campaigns, rates } = this.#daemon;
    if (trouble !== undefined) return `nothing is sent: ${trouble}`;
    const running = [...campaigns.values()].filter(({ state }) => state.kind === 'running').length;
    const perSecond = Math.round(rates.total(performance.now()));
    return running === 0 ? 'idle' : `sending ${running} campaign${running === 1 ? '' : 's'}, ${perSecond}/s`;
  }

  /** Not fed, systemd ends the process and starts another, which goes on where this one stood still. */
  #feed(): void {
    const progress = readProgress(this.#daemon);
    if (this.#watchdog.isSound(progress, performance.now())) void this.#notifier.tell({ WATCHDOG: '1' });
    else
      this.#options.log.fatal(
        progress,
        'sending stands still, and nothing explains it: the watchdog is not fed',
      );
  }
}

function openEvents({ events }: Config, log: Log): EventLog {
  try {
    return new EventLog({
      ...events,
      now: () => Date.now(),
      onTrouble: (thrown) =>
        thrown === undefined
          ? log.info('the event log is written again')
          : log.error({ err: thrown }, 'the event log cannot be written; sending goes on'),
    });
  } catch (error) {
    throw new PosthasteError({
      code: 'ERR_EVENT_LOG',
      message: `the event log in ${events.directory} cannot be written: ${error instanceof Error ? error.message : String(error)}`,
      hint: 'see that it is a folder that this user may write to, or name another with events.directory',
      where: events.directory,
      exitCode: ExitCode.ioError,
      cause: error,
    });
  }
}

function hideIn(
  record: { readonly kind: string },
  hide: (text: string) => string,
): { readonly kind: string } {
  const hidden: { readonly kind: string } = JSON.parse(hide(JSON.stringify(record)));
  return hidden;
}

function noRelay(): PosthasteError {
  return new PosthasteError({
    code: 'ERR_RELAY_NOT_CHOSEN',
    message: 'the configuration has no relay, so there is nothing to send by',
    hint: 'Add one under "relays:" in the configuration file, or name one with --relay URL.',
    exitCode: ExitCode.config,
  });
}
