// Runs the real program as a child process, in a folder of its own that goes with the test.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { TestContext } from 'node:test';

const main = resolve(import.meta.dirname, '../../src/main.ts');

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when stderr or stdout has matched. */
  said(pattern: RegExp): Promise<void>;
  /** What it has said so far. */
  text(): string;
}

export interface StartOptions {
  readonly env?: Record<string, string>;
  readonly stdin?: Buffer | string;
  /** A program, with its arguments, that starts it: strace. */
  readonly under?: readonly string[];
}

/** A temporary folder with files; removed when the test ends. */
export class Folder {
  readonly path: string;
  readonly #children = new Set<ChildProcess>();

  constructor(context: TestContext, files: Readonly<Record<string, string | Buffer>> = {}) {
    this.path = mkdtempSync(join(tmpdir(), 'posthaste-test-'));
    context.after(() => {
      // A test that failed half-way must not leave its children to hold the test run.
      for (const child of this.#children) child.kill('SIGKILL');
      rmSync(this.path, { recursive: true, force: true });
    });
    for (const [name, content] of Object.entries(files)) this.write(name, content);
  }

  write(name: string, content: string | Buffer): void {
    mkdirSync(dirname(join(this.path, name)), { recursive: true });
    writeFileSync(join(this.path, name), content);
  }

  read(name: string): string {
    return readFileSync(join(this.path, name), 'utf8');
  }

  /** Starts the program in this folder. Its state is in `state/` there unless the arguments say otherwise. */
  start(args: readonly string[], options: StartOptions = {}): Running {
    const [program = '', ...words] = [...(options.under ?? []), process.execPath, main, ...args];
    const child = spawn(program, words, {
      cwd: this.path,
      env: { PATH: process.env['PATH'] ?? '', NO_COLOR: '1', ...options.env },
      stdio: 'pipe',
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    child.stdin.on('error', () => {}); // The program may end before it has read everything.
    child.stdin.end(options.stdin ?? '');
    let output = '';
    let stdout = '';
    const heard: { pattern: RegExp; resolve: () => void }[] = [];
    const hear = (text: string): void => {
      output += text;
      for (const one of heard) if (one.pattern.test(output)) one.resolve();
    };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      hear(text);
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      hear(text);
    });
    const ended = once(child, 'close').then(() => ({
      code: child.exitCode,
      signal: child.signalCode,
      stdout,
      stderr,
    }));
    const said = (pattern: RegExp): Promise<void> =>
      new Promise((resolve) => {
        if (pattern.test(output)) resolve();
        else heard.push({ pattern, resolve });
      });
    return { child, ended, said, text: () => output };
  }

  run(args: readonly string[], options: StartOptions = {}): Promise<Ended> {
    return this.start(args, options).ended;
  }
}

/** "email,first_name" and `rows` recipients: reader1@example.com, Name1, … */
export function makeList(rows: number, firstRow = 1): string {
  const lines = ['email,first_name'];
  for (let row = firstRow; row < firstRow + rows; row += 1) lines.push(`reader${row}@example.com,Name${row}`);
  return `${lines.join('\n')}\n`;
}

export const campaignYaml = `name: spring
from: Shop <hello@mail.example.com>
subject: "{{ first_name }}, spring is here"
text: "Dear {{ first_name }}, it is spring.\\n"
html: "<p>Dear {{ first_name }}, it is <b>spring</b>.</p>"
list: { address: email }
retry: { first: 200ms, factor: 1.5, max: 1s, giveUpAfter: 1h, jitter: 0 }
`;

export interface Summary {
  readonly end: string;
  readonly rows: number;
  readonly known?: number;
  readonly accepted: number;
  readonly rejected: number;
  readonly deferred: number;
  readonly expired: number;
  readonly invalid: number;
  readonly duplicate: number;
  readonly inDoubt: number;
  readonly perSecond: number;
  readonly limitedBy: string;
}

/** The last line of stdout, which is the summary with --json. */
export function summaryIn(ended: Ended): Summary {
  const last = ended.stdout.trimEnd().split('\n').at(-1) ?? '';
  try {
    const summary: Summary = JSON.parse(last);
    return summary;
  } catch {
    throw new Error(`no summary on stdout, exit code ${ended.code}; stderr:\n${ended.stderr}`);
  }
}
