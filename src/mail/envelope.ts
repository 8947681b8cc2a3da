// The envelope of a campaign's messages (RFC 5321 §2.3.1): MAIL and RCPT, with what the relay offers and the campaign asks for.
import type { Campaign, DsnRequest } from './campaign.ts';
import { messageIdPrefix } from './message_id.ts';
import { isAscii, toOctets } from './octets.ts';
import { makeVerp, verpCampaign } from './verp.ts';

/** What a session offers, as far as envelopes depend on it. */
export interface EnvelopeOffer {
  readonly sizeLimitBytes: number | undefined;
  readonly eightBitMime: boolean;
  readonly smtpUtf8: boolean;
  readonly dsn: boolean;
  readonly requireTls: boolean;
}

/** Why no message of a campaign can go over a session. */
export type Lack = 'smtpUtf8' | 'requireTls';

/** Everything of the commands that does not depend on a row is a string already. */
export interface Envelope {
  readonly reversePath: string;
  readonly verp: { readonly secret: string; readonly campaign: string } | undefined;
  /** "MAIL FROM:<…>"; with VERP every row has its own. */
  readonly mailHead: string;
  /** From, Sender or reverse-path have a local part that only SMTPUTF8 can carry. */
  readonly isUtf8: boolean;
  readonly requireTls: boolean;
  /** " RET=HDRS", " ENVID=prefix." and " NOTIFY=NEVER"; '' where not asked for. */
  readonly ret: string;
  readonly envid: string;
  readonly notify: string;
  readonly orcpt: boolean;
}

/** RFC 3461 §4.2: an ORCPT of more than 500 characters is not allowed. */
const maxOrcptChars = 500;

export function makeEnvelope(campaign: Campaign): Envelope {
  const { reversePath, verp, dsn, from, sender } = campaign;
  return {
    reversePath,
    verp: verp === undefined ? undefined : { secret: verp.secret, campaign: verpCampaign(campaign.name) },
    mailHead: `MAIL FROM:<${toOctets(reversePath)}>`,
    isUtf8: [reversePath, from.address, sender?.address ?? ''].some(needsUtf8),
    requireTls: campaign.requireTls === true,
    ret: dsn?.ret === undefined ? '' : ` RET=${dsn.ret.toUpperCase()}`,
    // Letters, digits and a dot: xtext of RFC 3461 §4 has nothing to encode, and 100 characters are far away.
    envid: dsn?.envid === true ? ` ENVID=${messageIdPrefix(campaign.name)}.` : '',
    notify: formatNotify(dsn),
    orcpt: dsn?.orcpt === true,
  };
}

/** What the campaign cannot do without and the session does not offer; undefined where nothing is missing. */
export function findLack({ requireTls, isUtf8 }: Envelope, offer: EnvelopeOffer): Lack | undefined {
  if (requireTls && !offer.requireTls) return 'requireTls';
  return isUtf8 && !carriesUtf8(offer) ? 'smtpUtf8' : undefined;
}

/** RFC 6531 §3.1 (8): who offers SMTPUTF8 must offer 8BITMIME, and without it nothing carries the header's octets. */
export function carriesUtf8(offer: EnvelopeOffer): boolean {
  return offer.smtpUtf8 && offer.eightBitMime;
}

/** The MAIL command, the same on every attempt but for its size. */
export function formatMail(
  envelope: Envelope,
  row: number,
  sizeBytes: number,
  isUtf8: boolean,
  offer: EnvelopeOffer,
): string {
  const { verp, reversePath } = envelope;
  const head =
    verp === undefined
      ? envelope.mailHead
      : `MAIL FROM:<${toOctets(makeVerp(reversePath, verp.secret, verp.campaign, row))}>`;
  const size = offer.sizeLimitBytes === undefined ? '' : ` SIZE=${sizeBytes}`;
  // RFC 6531 §3.4 and §3.6: header octets above 127 are 8BITMIME's (RFC 6152) to carry.
  const utf8 = isUtf8 ? ' BODY=8BITMIME SMTPUTF8' : '';
  // RFC 8689 §4.2: a parameter without a value.
  const tls = envelope.requireTls ? ' REQUIRETLS' : '';
  return `${head}${size}${utf8}${offer.dsn ? formatReturn(envelope, row) : ''}${tls}\r\n`;
}

/** The RCPT command. */
export function formatRcpt(envelope: Envelope, address: string, offer: EnvelopeOffer): string {
  const { notify, orcpt } = envelope;
  // RFC 3461 §4: parameters only where they are offered.
  const parameters = offer.dsn ? `${notify}${orcpt ? formatOrcpt(address) : ''}` : '';
  return `RCPT TO:<${toOctets(address)}>${parameters}\r\n`;
}

function formatReturn({ ret, envid }: Envelope, row: number): string {
  return envid === '' ? ret : `${ret}${envid}${row}`;
}

function formatNotify(dsn: DsnRequest | undefined): string {
  if (dsn?.notify === undefined) return '';
  return ` NOTIFY=${dsn.notify === 'never' ? 'NEVER' : dsn.notify.join(',').toUpperCase()}`;
}

/** RFC 3461 §4.2 with xtext; RFC 6533 §3 for addresses that are not ASCII, in its form that is. */
function formatOrcpt(address: string): string {
  const typed = isAscii(address) ? `rfc822;${encodeXtext(address)}` : `utf-8;${encodeUtf8Xtext(address)}`;
  return typed.length > maxOrcptChars ? '' : ` ORCPT=${typed}`;
}

/** RFC 3461 §4: "+", "=" and what is not printable ASCII become "+" and two hexadecimal digits. */
export function encodeXtext(text: string): string {
  return text.replace(
    /[^!-*,-<>-~]/g,
    (one) => `+${one.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

/** RFC 6533 §3 utf-8-addr-xtext: there "\x{…}" is the code point. */
function encodeUtf8Xtext(text: string): string {
  return text.replace(
    /[^!-*,-<>-[\]-~]/gu,
    (one) => `\\x{${(one.codePointAt(0) ?? 0).toString(16).toUpperCase()}}`,
  );
}

/** Domains are in A-labels when a message is made. */
function needsUtf8(address: string): boolean {
  return !isAscii(address.slice(0, Math.max(0, address.lastIndexOf('@'))));
}
