// Asks Python's email package, under policy.default, what it reads in the headers of messages.
import { spawnSync } from 'node:child_process';

export interface PythonHeader {
  readonly names: readonly string[];
  /** The mailboxes of To and Reply-To: display name and addr-spec. */
  readonly to: readonly (readonly [name: string, address: string])[];
  readonly replyTo: readonly (readonly [name: string, address: string])[];
}

const program = `
import base64, json, sys
from email import message_from_bytes, policy
for line in sys.stdin:
    message = message_from_bytes(base64.b64decode(line), policy=policy.default)
    def boxes(name):
        field = message[name]
        return [] if field is None else [[one.display_name, one.addr_spec] for one in field.addresses]
    read = {"names": [name.lower() for name in message.keys()], "to": boxes("to"), "replyTo": boxes("reply-to")}
    print(json.dumps(read))
`;

/** `messages` are octets, one character each. */
export function readWithPython(messages: readonly string[]): readonly PythonHeader[] {
  const input = messages.map((message) => Buffer.from(message, 'latin1').toString('base64')).join('\n');
  const ended = spawnSync('python3', ['-c', program], { input, encoding: 'utf8', maxBuffer: 1e9 });
  if (ended.status !== 0) throw new Error(ended.stderr);
  return ended.stdout
    .trimEnd()
    .split('\n')
    .map((line): PythonHeader => JSON.parse(line));
}
