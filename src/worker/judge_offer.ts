// What a relay's offer means for a campaign and for a message: why it will not take them.
import { carriesUtf8, type Lack } from '../mail/envelope.ts';
import { judgeLocally, type Verdict } from '../mail/verdict.ts';
import type { Extensions } from '../smtp/extensions.ts';

const lacks: Record<Lack, string> = {
  requireTls:
    'the campaign has requireTls, and the relay does not offer REQUIRETLS (RFC 8689) in a TLS session with a verified certificate',
  smtpUtf8:
    'an address of the campaign needs SMTPUTF8, and the relay does not offer SMTPUTF8 and 8BITMIME (RFC 6531)',
};

export function judgeLack(lack: Lack): Verdict {
  return judgeLocally('lacking', lacks[lack]);
}

/** Why the relay will not take a message, by what it has offered. */
export function findFlaw(sizeBytes: number, isUtf8: boolean, extensions: Extensions): Verdict | undefined {
  const limitBytes = extensions.sizeLimitBytes;
  // RFC 1870 §6.1: what the relay has said it will not take is not sent.
  if (limitBytes !== undefined && limitBytes > 0 && sizeBytes > limitBytes)
    return judgeLocally('oversize', `the message has ${sizeBytes} bytes, the relay takes ${limitBytes}`);
  // RFC 6531 §3.1 (1): without the offer such an address is never sent.
  if (isUtf8 && !carriesUtf8(extensions))
    return judgeLocally('uncarried', 'an address needs SMTPUTF8, which the relay does not offer');
  return undefined;
}
