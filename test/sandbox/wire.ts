// A raw client: what it writes is written, and it waits for what is said.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox.ts';
import type { SandboxOptions } from '../../src/sandbox/options.ts';

const patienceMs = 5000;

/** A sandbox that ends with its test. */
export async function startFor(t: TestContext, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await startSandbox(options);
  t.after(() => sandbox.close());
  return sandbox;
}

export class Wire {
  readonly socket: Socket;
  received = '';
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.received += text;
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  /** Waits for text to come, and returns all up to its end. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.received);
      if (match !== null) {
        const end = match.index + match[0].length;
        const read = this.received.slice(0, end);
        this.received = this.received.slice(end);
        return read;
      }
      if (this.#isClosed) throw new Error(`closed, after ${JSON.stringify(this.received)}`);
      await this.#wait(`${pattern} in ${JSON.stringify(this.received)}`);
    }
  }

  /** Writes, and waits for the last line of a reply. */
  ask(text: string): Promise<string> {
    this.socket.write(text, 'latin1');
    return this.until(/^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/);
  }

  /** Waits for the other side to close, and returns what was not read before. */
  async untilClosed(): Promise<string> {
    while (!this.#isClosed) await this.#wait('a close');
    return this.received;
  }

  async #wait(what: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), patienceMs);
    await promise.finally(() => clearTimeout(timer));
  }
}

/** Connects without a greeting being waited for; ends with its test. */
export async function dial(t: TestContext, sandbox: Sandbox): Promise<Wire> {
  const socket = connect({ host: sandbox.host, port: sandbox.port });
  t.after(() => socket.destroy());
  const wire = new Wire(socket);
  await once(socket, 'connect');
  return wire;
}

/** Begins TLS, on a socket where one is given; rejects where the certificate is not trusted. */
export async function dialTls(
  t: TestContext,
  sandbox: Sandbox,
  options: ConnectionOptions = {},
): Promise<Wire> {
  const target = options.socket === undefined ? { host: sandbox.host, port: sandbox.port } : {};
  const socket = connectTls({ ...target, ca: sandbox.certificate, servername: 'localhost', ...options });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  return new Wire(socket);
}
