// The DKIM-Signature field (RFC 6376 §3.5), folded, beside its relaxed form.

/** RFC 5322 §2.1.1: 78 characters where possible. Names of domains have no place to be folded at. */
const lineColumns = 78;

/** A stretch of the field, and the same relaxed: each fold is a space. */
export interface Stretch {
  readonly folded: string;
  readonly relaxed: string;
}

/** What comes first and is the same in every field of a key: up to "s=". */
export function headStretch(algorithm: string, domain: string, selector: string): Stretch {
  const tags = [
    'DKIM-Signature: v=1;',
    `a=${algorithm};`,
    'c=relaxed/relaxed;',
    `d=${domain};`,
    `s=${selector};`,
  ];
  const folded = foldWords(tags, ' ');
  // RFC 6376 §3.4.2: the name in lower case, no blank behind its colon.
  return { folded, relaxed: unfold(folded).replace('DKIM-Signature: ', 'dkim-signature:') };
}

/** "h=" with its names and what follows it, up to the signature itself. */
export function namesStretch(names: readonly string[]): Stretch {
  const words = names.map(
    (name, index) => `${index === 0 ? 'h=' : ''}${name}${index === names.length - 1 ? ';' : ':'}`,
  );
  const folded = `\r\n ${foldWords(words, '', 1)}\r\n b=`;
  return { folded, relaxed: unfold(folded) };
}

/** When it was signed, in seconds since the epoch, and the hash of the body. */
export function hashStretch(second: number, bodyHash: string): Stretch {
  const tags = ` t=${second}; bh=${bodyHash};`;
  return { folded: `\r\n${tags}`, relaxed: tags };
}

/** The signature in base64 as the rest of the last line and the lines behind it. */
export function foldSignature(signature: string): string {
  const columns = lineColumns - ' b='.length;
  let folded = signature.slice(0, columns);
  for (let at = columns; at < signature.length; at += columns)
    folded += `\r\n ${signature.slice(at, at + columns)}`;
  return `${folded}\r\n`;
}

function foldWords(words: readonly string[], between: string, firstColumn = 0): string {
  let folded = '';
  let column = firstColumn;
  for (const word of words) {
    const gap = folded === '' ? '' : between;
    const fits = column + gap.length + word.length <= lineColumns;
    folded += fits ? gap + word : `\r\n ${word}`;
    column = fits ? column + gap.length + word.length : 1 + word.length;
  }
  return folded;
}

function unfold(folded: string): string {
  return folded.replaceAll('\r\n ', ' ');
}
