// Text as octets in a string: one character an octet, so that a string's length is what goes over the wire.

/**
 * The UTF-8 octets of a text, each as the character of its value. Everything that a session writes is such a string, for it
 * is written as latin1: lengths are octets in SIZE and BDAT without another look. ASCII text is its own.
 */
export function toOctets(text: string): string {
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

export function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 127) return false;
  return true;
}
