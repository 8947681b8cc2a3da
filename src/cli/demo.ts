// posthaste demo: a generated campaign through the built-in sandbox: the first minute with Posthaste.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import { InvalidArgumentError, type Command } from 'commander';
import { ExitCode, PosthasteError } from '../base/error.ts';
import { seededRandom } from '../base/random.ts';
import type { SetExitCode } from './command_line.ts';
import { count } from './print.ts';
import { send } from './send.ts';

interface DemoFlags {
  readonly rows: number;
  readonly json?: boolean;
}

export function addDemo(program: Command, setExitCode: SetExitCode): void {
  program
    .command('demo')
    .description('send a generated campaign through the built-in sandbox relay')
    .option('--rows <number>', 'recipients', parseRows, 20_000)
    .option('--json', 'end with one summary object on stdout')
    .action(async (flags: DemoFlags) => setExitCode(await demo(flags)));
}

/** What the sandbox does to the demo, so that there is something to see. */
const demoFaults = [
  'rcpt 1%: 550 5.1.1 no such user here',
  'rcpt 2% first: 451 4.7.1 greylisted, try again in a moment',
  'end 0.5%: 554 5.7.1 this looks like spam to us',
];

async function demo(flags: DemoFlags): Promise<ExitCode> {
  const folder = await mkdtemp(join(tmpdir(), 'posthaste-demo-'));
  await writeList(join(folder, 'list.csv'), flags.rows);
  await writeCampaign(folder);
  const relay = await startRelay();
  try {
    process.stderr.write(
      `demo: ${count(flags.rows)} recipients through a sandbox relay on port ${relay.port}; all in ${folder}\n`,
    );
    const exitCode = await send(join(folder, 'campaign.yaml'), join(folder, 'list.csv'), {
      relay: `smtp://127.0.0.1:${relay.port}?maxConnections=10&maxMessages=1000`,
      state: join(folder, 'state'),
      results: join(folder, 'results.csv'),
      ...(flags.json === true ? { json: true } : {}),
    });
    const taken = await relay.stop();
    process.stderr.write(`  the sandbox counted ${count(taken)} messages taken\n`);
    return exitCode;
  } finally {
    await relay.stop();
  }
}

interface DemoRelay {
  readonly port: number;
  /** Ends it and returns how many messages it took. */
  stop(): Promise<number>;
}

/** A process of its own, as a real relay would be: the demo's speed is not shared with it more than need be. */
async function startRelay(): Promise<DemoRelay> {
  const main = process.argv[1] ?? '';
  const args = [
    main,
    'sandbox',
    '--port',
    '0',
    '--json',
    ...demoFaults.flatMap((fault) => ['--fault', fault]),
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const port = numberIn(await lines.next(), 'port');
  let stopped: Promise<number> | undefined;
  return { port, stop: () => (stopped ??= stopRelay(child, lines)) };
}

async function stopRelay(child: ChildProcess, lines: AsyncIterator<string>): Promise<number> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const taken = numberIn(await lines.next(), 'taken');
  await exited;
  return taken;
}

function numberIn(line: IteratorResult<string>, key: string): number {
  const parsed: unknown = line.done === true ? {} : JSON.parse(line.value);
  const value =
    typeof parsed === 'object' && parsed !== null
      ? new Map<string, unknown>(Object.entries(parsed)).get(key)
      : undefined;
  if (typeof value === 'number') return value;
  throw new PosthasteError({
    code: 'ERR_DEMO_SANDBOX',
    message: 'the sandbox relay of the demo did not start',
    hint: 'run "posthaste sandbox" to see why',
    exitCode: ExitCode.unavailable,
  });
}

const firstNames = [
  'Ada',
  'Björn',
  'Chloé',
  'Dmitri',
  'Eun-ji',
  'Fatima',
  'Grace',
  'Håkon',
  'Inês',
  'Jürgen',
];
const cities = ['Lisbon', 'Zürich', 'Kraków', 'Nairobi', 'Osaka', 'Québec', 'Reykjavík', 'Santiago'];
const plans = ['free', 'pro', 'team'];

async function writeList(path: string, rows: number): Promise<void> {
  const random = seededRandom(rows);
  const pick = (from: readonly string[]): string => from[Math.floor(random() * from.length)] ?? '';
  const stream = createWriteStream(path);
  stream.write('email,first_name,city,plan\n');
  for (let row = 1; row <= rows; row += 1) {
    const line = `reader${row}@example.com,${pick(firstNames)},${pick(cities)},${pick(plans)}\n`;
    if (!stream.write(line)) await once(stream, 'drain');
  }
  stream.end();
  await finished(stream);
}

async function writeCampaign(folder: string): Promise<void> {
  await writeFile(join(folder, 'campaign.yaml'), campaignText);
  await writeFile(join(folder, 'letter.html'), htmlText);
}

const campaignText = `name: demo
from: Posthaste Demo <hello@example.com>
subject: "{{ first_name | default: 'Hello' }}, spring is here"
text: |
  Dear {{ first_name | default: 'reader' }},

  spring has come to {{ city }}. You are on the {{ plan }} plan,
  so this letter was written for you alone.

  Yours, Posthaste
html: { file: letter.html }
unsubscribe: { url: "https://example.com/unsubscribe?who={{ email }}" }
list: { address: email }
retry: { first: 1s, factor: 2, max: 1m, giveUpAfter: 1h }
`;

const htmlText = `<!doctype html>
<html>
  <body style="font-family: Georgia, serif; color: #222; margin: 0 auto; max-width: 36em; padding: 1em">
    <h1 style="color: #2a6f3e">Spring in {{ city }}</h1>
    <p>Dear {{ first_name | default: 'reader' }},</p>
    <p>spring has come to <b>{{ city }}</b>. You are on the <i>{{ plan }}</i> plan, so this letter was written for
    you alone.</p>
    <table cellpadding="4" style="border-collapse: collapse">
      <tr><td style="border: 1px solid #ccc">Bulbs</td><td style="border: 1px solid #ccc">half price</td></tr>
      <tr><td style="border: 1px solid #ccc">Seeds</td><td style="border: 1px solid #ccc">three for two</td></tr>
    </table>
    <p>Yours,<br>Posthaste</p>
  </body>
</html>
`;

function parseRows(text: string): number {
  if (!/^[1-9]\d{0,7}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1.');
  return Number(text);
}
