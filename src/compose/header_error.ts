// What makes the header of a campaign unwritable, told before anything is sent.
import { ExitCode, PosthasteError } from '../base/error.ts';

/** `where` is the place of the template that is to blame. */
export function headerError(what: string, where?: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_CAMPAIGN_HEADER',
    message: `The campaign's header fields cannot be written: ${what}.`,
    hint: 'Look at from, sender, replyTo, headers, listId, unsubscribe and the names of attachments.',
    ...(where === undefined ? {} : { where }),
    exitCode: ExitCode.dataError,
  });
}

/** What SMTP sessions rely on: US-ASCII, CRLF, no line over 998 characters (RFC 5321 §4.5.3.1.6), no "." in front. */
export function checkLines(text: string): void {
  for (const line of text.split('\r\n')) {
    if (!/^[\t -~]*$/.test(line) || line.startsWith('.'))
      throw headerError(`the line "${line.slice(0, 100)}" is not plain ASCII`);
    if (line.length > 998)
      throw headerError(`the line "${line.slice(0, 100)}…" is longer than 998 characters`);
  }
}
