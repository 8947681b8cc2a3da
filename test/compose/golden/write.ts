// Writes the golden messages anew: node test/compose/golden/write.ts. Then read the difference, line by line, before it is committed.
import { writeFileSync } from 'node:fs';
import { composeGolden, goldenNames, goldenPath } from './compose_golden.ts';

for (const name of goldenNames) {
  const composed = await composeGolden(name);
  if (composed.kind === 'invalid') throw new Error(`${name}: ${composed.reason}`);
  writeFileSync(goldenPath(name), composed.message, 'latin1');
}
