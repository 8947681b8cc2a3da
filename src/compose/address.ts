// The recipient's address as the value of a To field (RFC 5322 §3.4).

/** A To field's value, or why there is none. */
type AddressField =
  | { readonly kind: 'field'; readonly value: string }
  | { readonly kind: 'invalid'; readonly reason: string };

/** An addr-spec whose local part is a quoted-string, or whose domain is a literal. No alternative overlaps another. */
const unusualAddress =
  /^(?:"(?:[^"\\]|\\.)*"|[^\s"(),:;<>@[\\\]]+)@(?:[^\s"(),:;<>@[\\\]]+|\[[^\s<>[\\\]]*\])$/;

/** Formats an address that intake has validated; what could still be read as something else is refused. */
export function formatTo(address: string): AddressField {
  let isPlain = true;
  for (let at = 0; at < address.length; at++) {
    const code = address.charCodeAt(at);
    if (code > 127) return { kind: 'invalid', reason: 'address needs SMTPUTF8, which is not supported yet' };
    if (code < 33 || code === 127 || isSpecial(code)) isPlain = false;
  }
  if (isPlain) return { kind: 'field', value: address };
  if (/\p{Cc}/u.test(address) || !unusualAddress.test(address))
    return { kind: 'invalid', reason: 'address cannot be written in a header: expected local@domain' };
  return { kind: 'field', value: `<${address}>` };
}

/** RFC 5322 §3.2.3 specials without "." and "@": " ( ) , : ; < > [ \ ] */
function isSpecial(code: number): boolean {
  switch (code) {
    case 34:
    case 40:
    case 41:
    case 44:
    case 58:
    case 59:
    case 60:
    case 62:
    case 91:
    case 92:
    case 93:
      return true;
    default:
      return false;
  }
}
