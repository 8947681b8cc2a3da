// A campaign file becomes a campaign: checked, with every file that it names read.
import { createHash } from 'node:crypto';
import { basename, dirname, extname, resolve } from 'node:path';
import { ExitCode } from '../base/error.ts';
import type { Pace } from '../base/quantity.ts';
import type { Campaign, TemplateSource } from '../mail/campaign.ts';
import { resolveInFolder } from './campaign_folder.ts';
import { readAttachments, readRowAttachments } from './campaign_attachments.ts';
import { checkContentIds, readBodyWork, readCalendar } from './campaign_bodies.ts';
import {
  describeExtras,
  isLeftOut,
  readLineTemplate,
  readTemplate,
  readTemplateExtras,
  readText,
} from './campaign_templates.ts';
import { campaignName, campaignSchema, type WrittenCampaign } from './campaign_schema.ts';
import { parsePart, parseRest } from './issues.ts';
import { expectationOf } from './key.ts';
import { failureOf, type Failure, type Problem } from './problem.ts';
import { headerDigestParts, readHeaderKeys } from './read_headers.ts';
import type { PauseRules } from './pause_schema.ts';
import { readPartials } from './read_partials.ts';
import { readRetry, type CampaignRetry } from './read_retry.ts';
import { readTimes, type CampaignTimes } from './read_time.ts';
import { tell, type Reading } from './reading.ts';
import { readTextFile, type Opens } from './text_file.ts';
import { paceOf } from './value.ts';
import { parseYaml } from './yaml_file.ts';

/** A relay among several: lower ranks first. */
interface RelayShare {
  readonly name: string;
  readonly weight: number;
  readonly rank: number;
  readonly lanes?: readonly string[] | undefined;
}

/** How to read a campaign's list. */
interface CampaignList {
  readonly addressColumn?: string | undefined;
  readonly zoneColumn?: string | undefined;
  readonly format?: 'csv' | 'ndjson' | undefined;
  readonly delimiter?: ',' | ';' | '\t' | '|' | undefined;
  readonly charset?: string | undefined;
  /** Absolute path. */
  readonly file?: string | undefined;
}

export interface CampaignFile {
  readonly campaign: Campaign;
  readonly list: CampaignList;
  /** The relay's name; undefined for the only one. */
  readonly relay: string | undefined;
  /** Several, in place of one; undefined for that. */
  readonly relays: readonly RelayShare[] | undefined;
  /** 1 to 100. */
  readonly priority: number;
  readonly pace: Pace;
  readonly inDoubt: 'resend' | 'hold';
  readonly retry: CampaignRetry;
  readonly pauseAbove: PauseRules;
  readonly time: CampaignTimes;
  /** SHA-256 in hex over all that makes up the message, and nothing else: not the list, not how it is sent. */
  readonly digest: string;
  /** Absolute path of the campaign's folder. */
  readonly directory: string;
  /** Every file that it names and that was read, relative to the folder; not the list, and not what a column names. */
  readonly files: readonly string[];
}

/**
 * Loads a campaign; `name` takes the place of its own, and must be one that `campaignName` takes. Where its secrets are `elsewhere`, with the
 * process that is to send it, they are not read, and its digest is not that one's. `opens` is about the campaign file itself. Throws ERR_CAMPAIGN_READ (exit code 66) where that cannot be read, else
 * ERR_CAMPAIGN_INVALID with every problem, one a line: exit code 65, or 66 where all that is wrong is that
 * files it names do not exist.
 */
export function loadCampaign(
  path: string,
  env: NodeJS.ProcessEnv | 'elsewhere' = process.env,
  name?: string,
  opens: Opens = 'anyFile',
): CampaignFile {
  const problems: Problem[] = [];
  const file = parseYaml(
    path,
    readTextFile(path, 'the campaign', unreadable, opens),
    (written) => written,
    problems,
  );
  if (!file.isSound) throw invalid(problems);
  const value = file.value ?? {};
  const written =
    parsePart({ schema: campaignSchema, origin: file, path: [] }, value, problems) ??
    parseRest(campaignSchema, value, standIns);
  if (written === undefined) throw invalid(problems);
  const files = new Set<string>();
  const reading: Reading = { path, file, written, problems, env, files };
  const campaign = readCampaign(reading, name);
  const list = readList(reading);
  const retry = readRetry(reading);
  const time = readTimes(reading);
  if (written.relay !== undefined && written.relays !== undefined)
    tell(reading, ['relays'], { what: 'is there beside relay', expected: 'one of them' });
  if (problems.length > 0) throw invalid(problems);
  const { relay, inDoubt, pauseAbove, priority } = written;
  return {
    campaign,
    list,
    relay,
    relays: written.relays?.map(({ spare, ...share }) => ({ ...share, rank: spare ? 1 : 0 })),
    priority,
    pace: paceOf(written),
    inDoubt,
    retry,
    pauseAbove,
    time,
    digest: digestOf(campaign, written),
    directory: resolve(dirname(path)),
    files: [...files],
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
    hint: 'Correct the campaign file; docs/reference.md lists its keys, config/ has an example and a JSON Schema.',
    exitCode: onlyMissing ? ExitCode.noInput : ExitCode.dataError,
  });
}

function readCampaign(reading: Reading, name: string | undefined): Campaign {
  const { written } = reading;
  checkBodies(reading);
  const html = readTemplate(reading, ['html'], written.html);
  const campaign: Campaign = {
    name: name ?? readName(reading),
    ...readHeaderKeys(reading),
    subject: readLineTemplate(reading, ['subject'], written.subject) ?? emptyTemplate,
    text: readText(reading, ['text'], written.text),
    html,
    bodyWork: readBodyWork(reading, { html, written: written.html, makesText: written.text === undefined }),
    ...readTemplateExtras(reading),
    attachments: readAttachments(reading),
    rowAttachments: readRowAttachments(reading),
    calendar: readCalendar(reading),
  };
  const whole = { ...campaign, partials: readPartials(reading, campaign) };
  checkContentIds(reading, whole);
  return whole;
}

const emptyTemplate: TemplateSource = { file: '', line: 1, source: '' };

/** Every wording needs a body: the campaign's, where a variant has none of its own. */
function checkBodies(reading: Reading): void {
  const { text, html, variants } = reading.written;
  const lacksBody = (one: Pick<WrittenCampaign, 'text' | 'html'>): boolean =>
    isLeftOut(one.text ?? text ?? false) && (one.html ?? html) === undefined;
  const lacking = variants?.findIndex(lacksBody) ?? (lacksBody({}) ? 0 : -1);
  if (lacking === -1) return;
  const isVariant = variants !== undefined && !lacksBody({});
  tell(reading, isVariant ? ['variants', lacking, 'text'] : ['text'], {
    what: 'and html are both missing',
    expected: 'at least one of them',
  });
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

function readList(reading: Reading): CampaignList {
  const { address, timezone, format, delimiter, charset, file } = reading.written.list;
  const whole = file === undefined ? undefined : resolveInFolder(reading.path, file);
  if (file !== undefined && whole === undefined) {
    tell(reading, ['list', 'file'], { what: "leads out of the campaign's folder" });
  }
  return {
    addressColumn: address,
    zoneColumn: timezone,
    format,
    delimiter: delimiter === 'tab' ? '\t' : delimiter,
    charset,
    file: whole,
  };
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
  const extras = describeExtras(campaign);
  const parts = [
    name,
    mailboxes,
    reversePath,
    templates,
    files,
    literals,
    ...headerDigestParts(campaign),
    ...added,
    ...(extras === undefined ? [] : [extras]),
  ];
  return sha256(JSON.stringify(parts));
}

/**
 * What the first version did not have, so that campaigns without it keep their digests. Of what is made by packages,
 * the sources and options count, and not what this version of a package makes of them.
 */
function listAdded(
  { calendar, bodyWork, attachments: files }: Campaign,
  { attachments }: WrittenCampaign,
): unknown[] {
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
  // Such a file's type is by its own name, which no recipient sees.
  const typed = files.filter((one) => one.filenameTemplate !== undefined && one.contentType === undefined);
  if (typed.length > 0) added.push(['types', typed.map(({ filename }) => extname(filename))]);
  if (calendar !== undefined)
    added.push(['calendar', calendar.source.source, calendar.method, calendar.filename ?? null]);
  if (bodyWork !== undefined)
    added.push(['bodies', bodyWork.makesText, bodyWork.inlinesCss, bodyWork.mjml?.includes ?? null]);
  return added;
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
