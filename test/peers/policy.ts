// The policy of every peer: one account, recipients that it does not know, and recipients that it puts off once.

/** The account that a peer knows. Its password has something to get wrong in YAML, URLs and base64. */
export const account = { user: 'mailer', pass: 'Übung macht den "Meister" %41' } as const;

/** A peer knows no recipient whose address begins so: 550. */
export const unknownPrefix = 'gone';
/** Recipients whose address begins so get 450 or 451 once. */
export const greyPrefix = 'grey';
/** Reverse-paths that begin so are refused at MAIL, but not by OpenSMTPD, which can refuse them at RCPT only. */
export const bannedPrefix = 'banned';
