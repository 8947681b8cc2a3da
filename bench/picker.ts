// Measures what choosing the next batch costs with 10,000 lanes and 1,000 campaigns at once, many of the lanes blocked.
import { seededRandom } from '../src/base/random.ts';
import { Picker } from '../src/schedule/picker.ts';

const laneCount = 10_000;
const campaignCount = 1000;
const lanesPerCampaign = 300;
const batchesPerFlow = 3;

function fill(blockedShare: number): Picker {
  const picker = new Picker();
  const random = seededRandom(1);
  for (let lane = 0; lane < laneCount; lane += 1)
    picker.setLane(`lane${lane}`, random() < blockedShare ? { blockedUntil: 1000 } : { mostInHand: 4 });
  for (let campaign = 0; campaign < campaignCount; campaign += 1) {
    picker.setCampaign(campaign, 1 + (campaign % 10));
    for (let flow = 0; flow < lanesPerCampaign; flow += 1) {
      const lane = `lane${Math.floor(random() * laneCount)}`;
      for (let batch = 0; batch < batchesPerFlow; batch += 1) picker.add(campaign, lane, 250);
    }
  }
  return picker;
}

function measure(name: string, blockedShare: number, now: number): void {
  const filledAt = performance.now();
  const picker = fill(blockedShare);
  const beganAt = performance.now();
  let picks = 0;
  for (let pick = picker.next(now); pick !== undefined; pick = picker.next(now)) {
    picker.noteReturned(pick.lane);
    picks += 1;
  }
  const ns = Math.round(((performance.now() - beganAt) * 1e6) / picks);
  console.log(
    `picker, ${name}: ${ns} ns a pick over ${picks} batches, filled in ${Math.round(beganAt - filledAt)} ms`,
  );
}

measure('no lane blocked', 0, 0);
measure('half of the lanes blocked', 0.5, 0);
measure('half of them just free again', 0.5, 1000);
