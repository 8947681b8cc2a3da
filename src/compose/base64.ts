// Base64 as a body (RFC 2045 §6.8): lines of 76 characters, none begins with ".".

/** 57 bytes make a line of 76 characters. */
const lineBytes = 57;

/** The encoded content without a CRLF at its end. */
export function encodeBase64(content: Buffer): string {
  const lines: string[] = [];
  for (let from = 0; from < content.length; from += lineBytes)
    lines.push(content.toString('base64', from, from + lineBytes));
  return lines.join('\r\n');
}
