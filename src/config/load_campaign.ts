// A campaign file becomes a campaign: checked, with every file that it names read.
import { createHash } from 'node:crypto';
import { basename, dirname, extname, resolve } from 'node:path';
import { ExitCode } from '../base/error.ts';
import type { Rate } from '../base/quantity.ts';
import type { Campaign, TemplateSource } from '../mail/campaign.ts';
import { readFromFolder, resolveInFolder } from './campaign_folder.ts';
import { readAttachments, readRowAttachments } from './campaign_attachments.ts';
import { checkContentIds, readBodyWork, readCalendar } from './campaign_bodies.ts';
import { campaignName, campaignSchema, type WrittenCampaign } from './campaign_schema.ts';
import { parsePart, parseRest } from './issues.ts';
import { expectationOf } from './key.ts';
import { failureOf, type Failure, type Path, type Problem } from './problem.ts';
import { headerDigestParts, readHeaderKeys } from './read_headers.ts';
import { tell, type Reading } from './reading.ts';
import { decodeUtf8, readTextFile } from './text_file.ts';
import { parseYaml } from './yaml_file.ts';

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

const mostTemplateBytes = 8 * 1_048_576;

/**
 * Loads a campaign. Throws ERR_CAMPAIGN_READ (exit code 66) where there is no such file, else
 * ERR_CAMPAIGN_INVALID with every problem, one a line: exit code 65, or 66 where all that is wrong is that
 * files it names do not exist.
 */
export function loadCampaign(path: string, env: NodeJS.ProcessEnv = process.env): CampaignFile {
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
  const reading: Reading = { path, file, written, problems, env };
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
    digest: digestOf(campaign, written),
    directory: resolve(dirname(path)),
  };
}

const standIns = { name: 'a', from: 'a@example.com', subject: 'a', text: 'a', html: 'a' };

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
  const { written, path, file } = reading;
  const fields = readHeaderKeys(reading);
  if ((written.text === undefined || isLeftOut(written.text)) && written.html === undefined) {
    tell(reading, ['text'], { what: 'and html are both missing', expected: 'at least one of them' });
  }
  const text = readPart(reading, 'text');
  const html = readPart(reading, 'html');
  const attachments = readAttachments(reading);
  const bodyWork = readBodyWork(reading, html);
  checkContentIds(reading, html, bodyWork);
  return {
    name: readName(reading),
    ...fields,
    subject: {
      file: path,
      line: file.contentLine(['subject']),
      source: written.subject.replace(/\r?\n$/, ''),
    },
    text,
    html,
    attachments,
    rowAttachments: readRowAttachments(reading),
    calendar: readCalendar(reading),
    bodyWork,
  };
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

function readPart(reading: Reading, key: 'text' | 'html'): TemplateSource | undefined {
  const written = reading.written[key];
  if (written === undefined || isLeftOut(written)) return undefined;
  if (typeof written === 'string') {
    return { file: reading.path, line: reading.file.contentLine([key]), source: written };
  }
  const read = readFromFolder(reading.path, written.file, mostTemplateBytes);
  const place: Path = [key, 'file'];
  if (read.kind === 'problem') {
    tell(reading, place, { what: read.what, missingInput: read.isMissing });
    return undefined;
  }
  const source = decodeUtf8(read.bytes);
  if (source === undefined) tell(reading, place, { what: 'is not UTF-8 text' });
  return { file: read.shownPath, line: 1, source: source ?? '' };
}

/** `text: none`; YAML reads "none" as text, and "false" as what it says. */
function isLeftOut(written: WrittenCampaign['text']): written is false | 'none' {
  return written === false || written === 'none';
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
function digestOf(campaign: Campaign, written: WrittenCampaign): string {
  const { name, from, replyTo, reversePath, subject, text, html, attachments, headers } = campaign;
  const files = attachments.map((one) => [
    one.filenameTemplate?.source ?? one.filename,
    one.contentType ?? null,
    one.cid ?? null,
    sha256(one.content),
  ]);
  const mailboxes = [[from.name, from.address], replyTo?.source ?? null];
  const literals = headers.map(([field, value]) => [field, value.source]);
  const templates = [subject, text, html].map((one) => one?.source ?? null);
  const added = listAdded(campaign, written);
  const parts = [
    name,
    mailboxes,
    reversePath,
    templates,
    files,
    literals,
    ...headerDigestParts(campaign),
    ...added,
  ];
  return sha256(JSON.stringify(parts));
}

/**
 * What the first version did not have, so that campaigns without it keep their digests. Of what is made by packages,
 * the sources and options count, and not what this version of a package makes of them.
 */
function listAdded({ calendar, bodyWork }: Campaign, { attachments }: WrittenCampaign): unknown[] {
  const added: unknown[] = [];
  const byColumn = attachments.filter((one) => one.column !== undefined);
  if (byColumn.length > 0)
    added.push([
      'files',
      byColumn.map((one) => [
        one.column,
        one.root,
        one.separator,
        one.optional,
        one.maxSize,
        one.filename,
        one.contentType,
      ]),
    ]);
  if (calendar !== undefined)
    added.push(['calendar', calendar.source.source, calendar.method, calendar.filename ?? null]);
  if (bodyWork !== undefined)
    added.push(['bodies', bodyWork.makesText, bodyWork.inlinesCss, bodyWork.mjml?.includes ?? null]);
  return added;
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
