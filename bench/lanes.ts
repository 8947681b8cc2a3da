// Measures what lanes add to a recipient at intake: finding the lane of its domain, and cutting batches by lane.
import { BatchCutter } from '../src/intake/batch_cutter.ts';
import { makeLaneOf } from '../src/schedule/lanes.ts';

const recipientCount = 1_000_000;
const rounds = 5;
const groups = Array.from({ length: 1000 }, (_, index) => ({
  name: `g${index}`,
  domains: [`g${index}.example`, `*.g${index}.example`],
  mx: [],
}));

const someDomains = Array.from({ length: 4096 }, (_, index) =>
  index % 2 === 0 ? `g${index % 1000}.example` : `mail.of.d${index}.example`,
);
const manyDomains = Array.from({ length: 100_000 }, (_, index) => `d${(index * 7919) % 100_000}.example`);

const laneOf = makeLaneOf({ groups, others: 'shared' });
let lanesSeen = 0;
const findNs = best((domain) => {
  lanesSeen += laneOf(domain).length;
}, someDomains);
console.log(`lane of a domain, 1,000 groups with patterns: ${findNs} ns (${lanesSeen} characters)`);

measureCut('one lane', () => '', someDomains);
measureCut('1,000 groups', laneOf, someDomains);
measureCut('100,000 domains, each its own lane', (domain) => domain, manyDomains);

/** With the payloads, which are most of it. */
function measureCut(name: string, lane: (domain: string) => string, domains: readonly string[]): void {
  let batches = 0;
  const ns = best(
    (domain, index, cutter) =>
      cutter.add(
        lane(domain),
        { row: index + 1, line: index + 2, address: `r${index}@${domain}`, cells: [] },
        30,
      ),
    domains,
    () => (batches += 1),
  );
  console.log(`cutting, ${name}: ${ns} ns per recipient, ${batches / rounds} batches`);
}

/** The best of some rounds, in ns per recipient. */
function best(
  step: (domain: string, index: number, cutter: BatchCutter) => void,
  domains: readonly string[],
  cut: () => void = () => {},
): number {
  let bestMs = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    const cutter = new BatchCutter(250, cut);
    const beganAt = performance.now();
    for (let index = 0; index < recipientCount; index += 1)
      step(domains[index % domains.length] ?? '', index, cutter);
    cutter.end();
    bestMs = Math.min(bestMs, performance.now() - beganAt);
  }
  return Math.round((bestMs * 1e6) / recipientCount);
}
