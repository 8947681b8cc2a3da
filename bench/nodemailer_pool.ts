// The script that a user would write without us: one process, nodemailer's pool, Liquid templates, p-limit.
// Run: node bench/nodemailer_pool.ts LIST TEXT HTML HOST PORT [--connections N] [--ca FILE, for STARTTLS]
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Liquid } from 'liquidjs';
import { createTransport } from 'nodemailer';
import pLimit from 'p-limit';

const { values, positionals } = parseArgs({
  options: { connections: { type: 'string', default: '20' }, ca: { type: 'string' } },
  allowPositionals: true,
});
const [listPath = '', textPath = '', htmlPath = '', host = '', port = ''] = positionals;
const startedAt = performance.now();

const [header = '', ...lines] = readFileSync(listPath, 'utf8').trimEnd().split('\n');
const columns = header.split(',');
const rows = lines.map((line) => {
  const cells = line.split(',');
  return Object.fromEntries(columns.map((column, index) => [column, cells[index] ?? '']));
});

const plain = new Liquid();
const escaping = new Liquid({ outputEscape: 'escape' });
const subject = plain.parse('{{ first_name }}, spring is here');
const text = plain.parse(readFileSync(textPath, 'utf8'));
const html = escaping.parse(readFileSync(htmlPath, 'utf8'));

const security =
  values.ca === undefined ? { ignoreTLS: true } : { requireTLS: true, tls: { ca: readFileSync(values.ca) } };
const transport = createTransport({
  host,
  port: Number(port),
  ...security,
  pool: true,
  maxConnections: Number(values.connections),
  maxMessages: Infinity,
});

let accepted = 0;
async function sendTo(row: Record<string, string>): Promise<void> {
  await transport.sendMail({
    from: 'Shop <hello@mail.example.com>',
    replyTo: 'help@example.com',
    to: row['email'] ?? '',
    subject: String(plain.renderSync(subject, row)),
    text: String(plain.renderSync(text, row)),
    html: String(escaping.renderSync(html, row)),
  });
  accepted += 1;
}

const limit = pLimit(100);
await Promise.all(rows.map((row) => limit(() => sendTo(row))));
transport.close();

const perSecond = (accepted * 1000) / (performance.now() - startedAt);
process.stdout.write(`${JSON.stringify({ type: 'summary', rows: rows.length, accepted, perSecond })}\n`);
