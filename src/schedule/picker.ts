// The picker: which campaign's batch of which lane is next, in fair shares and past every lane that has to wait.
import { invariant } from '../base/invariant.ts';
import { Heap } from '../base/heap.ts';

/*
 * Stride scheduling on two levels. A campaign's pass grows by recipients / weight with each batch, and the campaign with
 * the least pass is next, so campaigns get recipients in proportion to their weights. Within one, the same goes for
 * its lanes, all of one weight. Who comes back after having had nothing to send begins at the present pass: time in
 * which one has asked for nothing is no credit.
 *
 *     campaigns (heap by pass) ─▶ campaign ─▶ its flows (heap by pass) ─▶ flow = one lane of one campaign
 *                                                   └─ lane must wait ─▶ parked at the lane, in no heap
 *
 * A lane that must wait (blocked, or with enough batches in hand) is found out when one of its flows comes first: that flow
 * is parked at the lane and comes back when the lane may go on. So a lane that waits costs each campaign one step,
 * and others nothing. A pick costs O(log campaigns + log lanes) (bench/picker.ts).
 */

export interface Pick {
  readonly campaign: number;
  readonly lane: string;
}

interface Lane {
  readonly name: string;
  blockedUntil: number;
  mostInHand: number;
  inHand: number;
  parked: Flow[];
  /** Of all campaigns, waiting or parked. */
  flowCount: number;
}

/** The waiting batches of one campaign in one lane. */
interface Flow {
  readonly campaign: Campaign;
  readonly lane: Lane;
  pass: number;
  batches: number;
  recipients: number;
}

interface Campaign {
  readonly id: number;
  weight: number;
  pass: number;
  isPaused: boolean;
  /** Whether it stands in the heap of campaigns. */
  isQueued: boolean;
  readonly flows: Map<string, Flow>;
  readonly ready: Heap<Flow>;
  /** The pass of the flow that came last. */
  lanePass: number;
}

/** Decides from memory alone; whoever claims tells it what is there. Time is an argument, in ms since the epoch. */
export class Picker {
  readonly #campaigns = new Map<number, Campaign>();
  readonly #lanes = new Map<string, Lane>();
  readonly #queue = new Heap<Campaign>();
  /** Blocked lanes by when they go on; entries that are out of date are passed over. */
  readonly #blocked = new Heap<Lane>();
  /** The pass of the campaign that came last. */
  #pass = 0;

  /** Begins a campaign, or changes its weight: twice the weight is twice the share. Counts from the next batch on. */
  setCampaign(id: number, weight: number): void {
    invariant(weight > 0 && Number.isFinite(weight), `a weight of ${weight}; expected more than 0`);
    const known = this.#campaigns.get(id);
    if (known !== undefined) known.weight = weight;
    else this.#campaigns.set(id, makeCampaign(id, weight));
  }

  pause(id: number): void {
    this.#campaign(id).isPaused = true;
  }

  resume(id: number): void {
    const campaign = this.#campaign(id);
    campaign.isPaused = false;
    this.#enqueue(campaign);
  }

  /** Forgets a campaign with all of its waiting batches. */
  drop(id: number): void {
    const campaign = this.#campaigns.get(id);
    if (campaign === undefined) return;
    campaign.isPaused = true;
    for (const flow of campaign.flows.values()) {
      flow.batches = 0;
      flow.lane.flowCount -= 1;
      this.#forgetIdle(flow.lane);
    }
    this.#campaigns.delete(id);
  }

  /** A batch is due. */
  add(id: number, laneName: string, recipients: number): void {
    const campaign = this.#campaign(id);
    let flow = campaign.flows.get(laneName);
    if (flow === undefined) {
      flow = { campaign, lane: this.#lane(laneName), pass: campaign.lanePass, batches: 0, recipients: 0 };
      campaign.flows.set(laneName, flow);
      flow.lane.flowCount += 1;
    }
    flow.batches += 1;
    flow.recipients += recipients;
    if (flow.batches > 1) return;
    flow.pass = Math.max(flow.pass, campaign.lanePass);
    campaign.ready.push(flow.pass, flow);
    this.#enqueue(campaign);
  }

  /** What a lane may do: nothing before `blockedUntil`, and no more than `mostInHand` batches at a time. */
  setLane(name: string, limits: { readonly blockedUntil?: number; readonly mostInHand?: number }): void {
    const lane = this.#lane(name);
    lane.mostInHand = limits.mostInHand ?? lane.mostInHand;
    lane.blockedUntil = limits.blockedUntil ?? lane.blockedUntil;
    if (lane.parked.length > 0) this.#blocked.push(lane.blockedUntil, lane);
  }

  /** A batch of this lane is no longer in hand. */
  noteReturned(laneName: string): void {
    const lane = this.#lane(laneName);
    invariant(lane.inHand > 0, `a batch of lane ${laneName} came back that was not in hand`);
    lane.inHand -= 1;
    if (lane.parked.length > 0) this.#blocked.push(lane.blockedUntil, lane);
    this.#forgetIdle(lane);
  }

  /** So many recipients were picked, and nothing was asked for them: they do not count for the campaign's share. */
  refund(id: number, recipients: number): void {
    const campaign = this.#campaign(id);
    campaign.pass -= recipients / campaign.weight;
  }

  /** The batch that is next, which is then in hand; undefined where none may go now. */
  next(now: number): Pick | undefined {
    this.#unpark(now);
    for (let campaign = this.#queue.peek(); campaign !== undefined; campaign = this.#queue.peek()) {
      this.#queue.pop();
      campaign.isQueued = false;
      if (campaign.isPaused) continue;
      const flow = this.#readyFlow(campaign, now);
      if (flow === undefined) continue;
      this.#pass = Math.max(this.#pass, campaign.pass);
      this.#take(flow);
      this.#enqueue(campaign);
      return { campaign: campaign.id, lane: flow.lane.name };
    }
    return undefined;
  }

  /** Lanes that are remembered. */
  get laneCount(): number {
    return this.#lanes.size;
  }

  /** When a lane goes on that is blocked and waited for; undefined for none. */
  nextAt(): number | undefined {
    return this.#blocked.firstKey;
  }

  /** The first flow whose lane may go on; those before it are parked. It is out of the heap then. */
  #readyFlow(campaign: Campaign, now: number): Flow | undefined {
    for (let flow = campaign.ready.pop(); flow !== undefined; flow = campaign.ready.pop()) {
      const { lane } = flow;
      if (now >= lane.blockedUntil && lane.inHand < lane.mostInHand) return flow;
      lane.parked.push(flow);
      if (now < lane.blockedUntil && lane.parked.length === 1) this.#blocked.push(lane.blockedUntil, lane);
    }
    return undefined;
  }

  /** Charges the average of what waits: over all of a flow's batches that is what they hold. */
  #take(flow: Flow): void {
    const { campaign, lane } = flow;
    const recipients = flow.recipients / flow.batches;
    campaign.lanePass = Math.max(campaign.lanePass, flow.pass);
    campaign.pass += recipients / campaign.weight;
    flow.pass += recipients;
    flow.batches -= 1;
    flow.recipients -= recipients;
    lane.inHand += 1;
    if (flow.batches > 0) campaign.ready.push(flow.pass, flow);
    else {
      campaign.flows.delete(lane.name);
      lane.flowCount -= 1;
    }
  }

  #enqueue(campaign: Campaign): void {
    if (campaign.isQueued || campaign.isPaused || campaign.ready.size === 0) return;
    campaign.isQueued = true;
    campaign.pass = Math.max(campaign.pass, this.#pass);
    this.#queue.push(campaign.pass, campaign);
  }

  /** Brings the flows of lanes that may go on back to their campaigns. */
  #unpark(now: number): void {
    while ((this.#blocked.firstKey ?? Infinity) <= now) {
      const lane = this.#blocked.pop();
      if (lane === undefined) return;
      if (now < lane.blockedUntil || lane.inHand >= lane.mostInHand) continue;
      const { parked } = lane;
      lane.parked = [];
      for (const flow of parked) {
        // Its campaign may have been dropped meanwhile.
        if (flow.batches === 0) continue;
        flow.pass = Math.max(flow.pass, flow.campaign.lanePass);
        flow.campaign.ready.push(flow.pass, flow);
        this.#enqueue(flow.campaign);
      }
    }
  }

  #campaign(id: number): Campaign {
    const campaign = this.#campaigns.get(id);
    invariant(campaign !== undefined, `campaign ${id} is unknown to the picker`);
    return campaign;
  }

  #lane(name: string): Lane {
    const known = this.#lanes.get(name);
    if (known !== undefined) return known;
    const lane = { name, blockedUntil: 0, mostInHand: Infinity, inHand: 0, parked: [], flowCount: 0 };
    this.#lanes.set(name, lane);
    return lane;
  }

  /** A lane of which nothing is to be remembered; there may be as many as there are domains. */
  #forgetIdle(lane: Lane): void {
    const isPlain = lane.blockedUntil === 0 && lane.mostInHand === Infinity;
    if (isPlain && lane.inHand === 0 && lane.flowCount === 0) this.#lanes.delete(lane.name);
  }
}

function makeCampaign(id: number, weight: number): Campaign {
  return {
    id,
    weight,
    pass: 0,
    isPaused: false,
    isQueued: false,
    flows: new Map(),
    ready: new Heap(),
    lanePass: 0,
  };
}
