// A campaign file becomes a campaign: checked, with every file that it names read.
import { createHash } from 'node:crypto';
import { basename, dirname, extname, resolve } from 'node:path';
import { ExitCode } from '../base/error.ts';
import type { Rate } from '../base/quantity.ts';
import { parseAddress, parseMailbox } from '../mail/address.ts';
import type { Attachment, Campaign, Mailbox, TemplateSource } from '../mail/campaign.ts';
import { readFromFolder, resolveInFolder } from './campaign_folder.ts';
import { describeExtras, readLineTemplate, readTemplate, readTemplateExtras } from './campaign_templates.ts';
import { campaignName, campaignSchema, type WrittenCampaign } from './campaign_schema.ts';
import { parsePart, parseRest } from './issues.ts';
import { expectationOf } from './key.ts';
import { failureOf, formatPath, type Failure, type Path, type Problem } from './problem.ts';
import { readTextFile } from './text_file.ts';
import { parseYaml, type YamlFile } from './yaml_file.ts';

/** How to read a campaign's list. */
interface CampaignList {
  readonly addressColumn?: string | undefined;
  readonly format?: 'csv' | 'ndjson' | undefined;
  readonly delimiter?: ',' | ';' | '\t' | '|' | undefined;
  readonly charset?: string | undefined;
  /** Absolute path. */
  readonly file?: string | undefined;
}

/** When a deferred recipient is tried again. */
interface CampaignRetry {
  readonly firstDelayMs: number;
  readonly factor: number;
  readonly maxDelayMs: number;
  readonly giveUpAfterMs: number;
  /** 0 to 1: the share of a delay that is random. */
  readonly jitter: number;
}

export interface CampaignFile {
  readonly campaign: Campaign;
  readonly list: CampaignList;
  /** The relay's name; undefined for the only one. */
  readonly relay: string | undefined;
  readonly rate: Rate | undefined;
  readonly inDoubt: 'resend' | 'hold';
  readonly retry: CampaignRetry;
  /** SHA-256 in hex over all that makes up the message, and nothing else: not the list, not how it is sent. */
  readonly digest: string;
  /** Absolute path of the campaign's folder. */
  readonly directory: string;
}

const mostAttachmentBytes = 64 * 1_048_576;

/**
 * Loads a campaign. Throws ERR_CAMPAIGN_READ (exit code 66) where there is no such file, else
 * ERR_CAMPAIGN_INVALID with every problem, one a line: exit code 65, or 66 where all that is wrong is that
 * files it names do not exist.
 */
export function loadCampaign(path: string): CampaignFile {
  const problems: Problem[] = [];
  const file = parseYaml(
    path,
    readTextFile(path, 'the campaign', unreadable),
    (written) => written,
    problems,
  );
  if (!file.isSound) throw invalid(problems);
  const value = file.value ?? {};
  const written =
    parsePart({ schema: campaignSchema, origin: file, path: [] }, value, problems) ??
    parseRest(campaignSchema, value, standIns);
  if (written === undefined) throw invalid(problems);
  const reading: Reading = { path, file, written, problems };
  const campaign = readCampaign(reading);
  const list = readList(reading);
  const retry = readRetry(reading);
  if (problems.length > 0) throw invalid(problems);
  const { relay, rate, inDoubt } = written;
  return {
    campaign,
    list,
    relay,
    rate,
    inDoubt,
    retry,
    digest: digestOf(campaign),
    directory: resolve(dirname(path)),
  };
}

const standIns = { name: 'a', from: 'a@example.com', subject: 'a', text: 'a', html: 'a' };

interface Reading {
  readonly path: string;
  readonly file: YamlFile;
  readonly written: WrittenCampaign;
  readonly problems: Problem[];
}

const unreadable: Failure = {
  code: 'ERR_CAMPAIGN_READ',
  hint: 'Name an existing campaign file.',
  exitCode: ExitCode.noInput,
};

function invalid(problems: readonly Problem[]) {
  const onlyMissing = problems.every((one) => one.missingInput);
  return failureOf(problems, {
    code: 'ERR_CAMPAIGN_INVALID',
    hint: 'Correct the campaign file; README.md has a table of its keys, config/ an example and a JSON Schema.',
    exitCode: onlyMissing ? ExitCode.noInput : ExitCode.dataError,
  });
}

function readCampaign(reading: Reading): Campaign {
  const { written } = reading;
  const from = readMailbox(reading, 'from', written.from);
  if (lacksBody(written)) {
    tell(reading, ['text'], { what: 'and html are both missing', expected: 'at least one of them' });
  }
  const templates = {
    subject: readLineTemplate(reading, ['subject'], written.subject) ?? emptyTemplate,
    text: readTemplate(reading, ['text'], written.text),
    html: readTemplate(reading, ['html'], written.html),
  };
  return {
    name: readName(reading),
    from,
    replyTo: written.replyTo === undefined ? undefined : readMailbox(reading, 'replyTo', written.replyTo),
    reversePath: written.returnPath === undefined ? from.address : readAddress(reading, written.returnPath),
    ...templates,
    ...readTemplateExtras(reading, templates),
    attachments: readAttachments(reading),
    headers: readHeaders(reading),
  };
}

const emptyTemplate: TemplateSource = { file: '', line: 1, source: '' };

/** Every variant needs a body of its own where the campaign has none for all. */
function lacksBody({ text, html, variants }: WrittenCampaign): boolean {
  if (text !== undefined || html !== undefined) return false;
  return variants?.every((one) => one.text !== undefined || one.html !== undefined) !== true;
}

function readName(reading: Reading): string {
  if (reading.written.name !== undefined) return reading.written.name;
  const name = basename(reading.path, extname(reading.path));
  if (!campaignName().safeParse(name).success) {
    tell(reading, ['name'], {
      what: "is missing, and the file's own name cannot take its place",
      expected: expectationOf(campaignName()),
    });
  }
  return name;
}

function readMailbox(reading: Reading, key: 'from' | 'replyTo', written: string): Mailbox {
  const mailbox = parseMailbox(written);
  if (mailbox.kind === 'invalid') {
    tell(reading, [key], { what: `is not a mailbox: ${mailbox.reason}`, expected: 'Name <local@domain>' });
    return { name: '', address: '' };
  }
  requireAscii(reading, [key], mailbox.address);
  return { name: mailbox.name, address: mailbox.address };
}

function readAddress(reading: Reading, written: string): string {
  const parsed = parseAddress(written);
  if (parsed.kind === 'invalid') {
    tell(reading, ['returnPath'], { what: `is not an address: ${parsed.reason}`, expected: 'local@domain' });
    return '';
  }
  requireAscii(reading, ['returnPath'], parsed.address);
  return parsed.address;
}

/** Messages are US-ASCII; another local part would need SMTPUTF8 (RFC 6531) of the relay and every relay behind it. */
function requireAscii(reading: Reading, path: Path, address: string): void {
  if (/[^\u0020-\u007e]/.test(address)) {
    tell(reading, path, {
      what: 'has an address that needs SMTPUTF8, which is not supported',
      expected: 'ASCII before the @',
    });
  }
}

function readAttachments(reading: Reading): Attachment[] {
  const cids = new Set<string>();
  return reading.written.attachments.flatMap((one, index) => {
    if (one.cid !== undefined && cids.has(one.cid)) {
      tell(reading, ['attachments', index, 'cid'], { what: 'is the cid of an attachment above, too' });
    }
    cids.add(one.cid ?? '');
    const read = readFromFolder(reading.path, one.path, mostAttachmentBytes);
    if (read.kind === 'problem') {
      tell(reading, ['attachments', index, 'path'], { what: read.what, missingInput: read.isMissing });
      return [];
    }
    const { contentType, cid } = one;
    return [{ filename: one.filename ?? basename(one.path), content: read.bytes, contentType, cid }];
  });
}

function readHeaders(reading: Reading): [string, string][] {
  const seen = new Set<string>();
  const headers = Object.entries(reading.written.headers);
  for (const [name] of headers) {
    if (seen.has(name.toLowerCase())) tell(reading, ['headers', name], { what: 'occurs twice' });
    seen.add(name.toLowerCase());
  }
  return headers;
}

function readList(reading: Reading): CampaignList {
  const { address, format, delimiter, charset, file } = reading.written.list;
  const whole = file === undefined ? undefined : resolveInFolder(reading.path, file);
  if (file !== undefined && whole === undefined) {
    tell(reading, ['list', 'file'], { what: "leads out of the campaign's folder" });
  }
  return {
    addressColumn: address,
    format,
    delimiter: delimiter === 'tab' ? '\t' : delimiter,
    charset,
    file: whole,
  };
}

function readRetry(reading: Reading): CampaignRetry {
  const { first, factor, max, giveUpAfter, jitter } = reading.written.retry;
  if (max < first)
    tell(reading, ['retry', 'max'], { what: 'is shorter than retry.first', expected: 'at least as long' });
  return { firstDelayMs: first, factor, maxDelayMs: max, giveUpAfterMs: giveUpAfter, jitter };
}

/** The parts in a fixed order: a digest must be the same in every version for the same message. */
function digestOf(campaign: Campaign): string {
  const { name, from, replyTo, reversePath, subject, text, html, attachments, headers } = campaign;
  const files = attachments.map((one) => [
    one.filename,
    one.contentType ?? null,
    one.cid ?? null,
    sha256(one.content),
  ]);
  const mailboxes = [from, replyTo].map((one) => (one === undefined ? null : [one.name, one.address]));
  const templates = [subject, text, html].map((one) => one?.source ?? null);
  const extras = describeExtras(campaign);
  const whole = [name, mailboxes, reversePath, templates, files, headers];
  return sha256(JSON.stringify(extras === undefined ? whole : [...whole, extras]));
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** `what` is a predicate; the key's path is its subject. */
function tell(reading: Reading, path: Path, problem: Omit<Problem, 'place'>): void {
  const place = reading.file.place(path, 'value');
  reading.problems.push({ ...problem, place, what: `${formatPath(path)} ${problem.what}` });
}
