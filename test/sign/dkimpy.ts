// The second oracle: Debian's dkimpy verifies many messages in one process, with records from a table instead of the DNS.
import { spawnSync } from 'node:child_process';
import * as z from 'zod';
import { skipUnlessInstalled } from '../peers/required.ts';
import type { Records } from './keys.ts';

/** For `test(name, { skip })`. The package that brings the module brings this program, too. */
export const skipUnlessDkimpy = skipUnlessInstalled('dkimverify');

/** Debian's own: another Python on the PATH does not find Debian's modules. */
const python = '/usr/bin/python3';

const script = `
import dkim, json, sys

asked = json.load(sys.stdin)

def look_up(name, timeout=5):
    record = asked["records"].get(name.decode().rstrip("."))
    return None if record is None else record.encode()

def verify(text):
    message = text.encode("latin-1")
    signatures = sum(1 for name, _ in dkim.DKIM(message).headers if name.lower() == b"dkim-signature")
    results = []
    for index in range(signatures):
        try:
            passed = dkim.DKIM(message).verify(idx=index, dnsfunc=look_up)
            results.append("pass" if passed else "fail")
        except dkim.DKIMException as problem:
            results.append("fail: " + str(problem))
    return results

json.dump([verify(message) for message in asked["messages"]], sys.stdout)
`;

const answer = z.array(z.array(z.string()));

/** For each message one word for each of its signatures: "pass", or what is wrong. */
export function verifyByDkimpy(messages: readonly string[], records: Records): string[][] {
  const input = JSON.stringify({ messages, records: Object.fromEntries(records) });
  const { status, stdout, stderr } = spawnSync(python, ['-c', script], {
    input,
    encoding: 'utf8',
    timeout: 60_000,
    maxBuffer: 64 * 1_048_576,
  });
  if (status !== 0) throw new Error(`dkimpy ended with ${String(status)}:\n${stderr}`);
  return answer.parse(JSON.parse(stdout));
}
