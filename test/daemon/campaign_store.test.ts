// The store on disk: whenever a process dies, or a rename fails, no accepted campaign and no accepted list is lost.
import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { CampaignStore } from '../../src/daemon/campaign_store.ts';
import { replaceCampaign } from '../../src/daemon/replace_campaign.ts';
import { Folder } from '../cli/posthaste.ts';

async function openStore(context: TestContext) {
  const { path: state } = new Folder(context);
  const store = new CampaignStore(state);
  const accept = async (plan: string, list: string, replaces = false): Promise<void> => {
    const id = store.begin();
    await store.putFile(id, 'campaign.yaml', Readable.from([Buffer.from(plan)]));
    await store.putList(id, 'l.csv', Readable.from([Buffer.from(list)]));
    store.accept(id, 'spring', { partial: false, expectedRows: undefined }, replaces);
  };
  const place = join(state, 'campaigns', 'spring');
  const aside = join(state, 'replaced', 'spring');
  return { state, store, accept, place, aside };
}

function assertStored(state: string, store: CampaignStore, plan: string, lists: readonly string[]): void {
  assert.equal(readFileSync(store.planOf('spring'), 'utf8'), plan);
  const found: string[] = [];
  for (let list = store.nextList('spring'); list !== undefined; list = store.nextList('spring')) {
    found.push(readFileSync(list.path, 'utf8'));
    store.dropList(list);
  }
  assert.deepEqual(found, lists);
  assert.deepEqual(readdirSync(join(state, 'replaced')), []);
}

test('one that replaces another has its files, and the lists of both in the order in which they came', async (context) => {
  const { state, store, accept } = await openStore(context);
  await accept('old', 'first');
  await accept('new', 'second', true);
  assertStored(state, store, 'new', ['first', 'second']);
});

test('died with the old one aside and nothing in its place, it is put back', async (context) => {
  const { state, accept, place, aside } = await openStore(context);
  await accept('old', 'first');
  renameSync(place, aside);
  assertStored(state, new CampaignStore(state), 'old', ['first']);
});

test('died with the new one in its place, the old one goes, and its lists stay', async (context) => {
  const { state, accept, place, aside } = await openStore(context);
  await accept('old', 'first');
  await accept('old', 'second');
  const saved = join(state, 'saved');
  cpSync(place, saved, { recursive: true });
  await accept('new', 'third', true);
  for (const list of readdirSync(join(saved, 'lists'))) rmSync(join(place, 'lists', list));
  renameSync(saved, aside);
  assertStored(state, new CampaignStore(state), 'new', ['first', 'second', 'third']);
});

test('where the new one cannot take its place, the old one keeps it', async (context) => {
  const { state, store, accept, place, aside } = await openStore(context);
  await accept('old', 'first');
  assert.throws(() => replaceCampaign(join(state, 'nowhere'), place, aside), { code: 'ENOENT' });
  assertStored(state, store, 'old', ['first']);
});
