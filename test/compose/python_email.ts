// Asks Python's email package, under policy.default, what it reads in messages: one process for a batch.
import { spawnSync } from 'node:child_process';
import type { ReadMail } from './read_mail.ts';

const program = `
import base64, functools, json, sys
from email import headerregistry, message_from_bytes, policy

# The messages of a batch have most fields in common, and reading a field takes long.
cached = policy.default.clone(header_factory=functools.lru_cache(10000)(headerregistry.HeaderRegistry()))

# RFC 6532: it leaves octets beyond ASCII as surrogates.
def utf8(text):
    return text.encode("utf-8", "surrogateescape").decode("utf-8")

def outline(part):
    below = ",".join(outline(one) for one in part.get_payload()) if part.is_multipart() else ""
    return part.get_content_type() + ("(" + below + ")" if below else "")

def read(message):
    found = {"text": None, "html": None}
    attachments = []
    for part in message.walk():
        if part.is_multipart():
            continue
        kind = {"text/plain": "text", "text/html": "html"}.get(part.get_content_type())
        if kind and found[kind] is None and part.get_content_disposition() is None:
            found[kind] = part.get_content()
            continue
        attachments.append({
            "name": part.get_filename() or "",
            "type": part.get_content_type(),
            "disposition": part.get_content_disposition() or "",
            "cid": part["content-id"] or "",
            "base64": base64.b64encode(part.get_payload(decode=True)).decode(),
        })
    boxes = {}
    fields = {}
    for name in message.keys():
        key = name.lower()
        if key in ("from", "to", "reply-to"):
            boxes[key] = [[one.display_name, utf8(one.addr_spec)] for one in message[name].addresses]
        elif not key.startswith("content-") and key != "mime-version":
            fields[key] = str(message[name])
    return {
        "names": [name.lower() for name in message.keys()],
        "mailboxes": {"from": [], "to": [], "reply-to": [], **boxes},
        "fields": fields,
        "structure": outline(message),
        "text": found["text"] or "",
        "html": found["html"] or "",
        "attachments": attachments,
    }

for line in sys.stdin:
    print(json.dumps(read(message_from_bytes(base64.b64decode(line), policy=cached))))
`;

/** Names of header fields are in the order of the message. */
export function readWithPython(messages: readonly Buffer[]): readonly ReadMail[] {
  const input = messages.map((message) => message.toString('base64')).join('\n');
  const ended = spawnSync('python3', ['-c', program], { input, encoding: 'utf8', maxBuffer: 1e9 });
  if (ended.status !== 0) throw new Error(ended.stderr);
  return ended.stdout
    .trimEnd()
    .split('\n')
    .map((line): ReadMail => JSON.parse(line));
}
