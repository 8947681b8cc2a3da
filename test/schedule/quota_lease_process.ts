// A process that is to be killed: sends as much of its daily quota as it gets, reserving on disk as it goes.
import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/base/clock.ts';
import { attachLimiter } from '../../src/schedule/limiter.ts';
import { LimitTable } from '../../src/schedule/limit_table.ts';
import type { QuotaState } from '../../src/schedule/quota_lease.ts';

const [folder = '', count = ''] = process.argv.slice(2);
const path = join(folder, 'quota.json');
const table = new LimitTable();
const handle = table.put({
  kind: 'rate',
  name: 'day',
  rate: { count: Number(count), perMs: 86_400_000 },
  burst: Number(count),
  isDurable: true,
});
if (existsSync(path)) {
  const states: QuotaState[] = JSON.parse(readFileSync(path, 'utf8'));
  table.restore(states, systemClock.monotonic(), systemClock.now());
}
const limiter = attachLimiter(table.memory);
// Until it is killed; a parent that does not is a bug, and costs no more than a minute.
for (const endsAt = Date.now() + 60_000; Date.now() < endsAt;) {
  const states = table.reserve(systemClock.monotonic(), systemClock.now());
  if (states.length > 0) {
    writeFileSync(`${path}.new`, JSON.stringify(states));
    renameSync(`${path}.new`, path);
    table.commit();
  }
  if (limiter.take([handle], systemClock.monotonic()) === undefined) {
    appendFileSync(join(folder, 'sent'), '.');
    process.stdout.write('.');
  } else process.stdout.write('-');
  await sleep(1);
}
