// Another template under the name of a campaign: refused, and sent under a name of its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageIdPrefix } from '../../src/mail/message_id.ts';
import { allSent, openRelay, rowsIn, sendArgs, takenBy } from './lists.ts';
import { campaignYaml, Folder, makeList } from './posthaste.ts';

test('another template is refused with a hint at --as; under another name everybody gets it, with Message-IDs and a reverse-path of that name', async (context) => {
  const sandbox = await openRelay(context, { keep: 'messages' });
  const verp = `returnPath: bounces@example.com\nverp: { secret: { env: VERP_SECRET } }\n`;
  const env = { VERP_SECRET: '0123456789abcdef0123456789abcdef' };
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml + verp, 'list.csv': makeList(2) });
  const first = await folder.run(sendArgs(sandbox), { env });
  assert.equal(first.code, 0, first.stderr);
  folder.write('campaign.yaml', campaignYaml.replace('it is spring', 'it is autumn') + verp);
  const refused = await folder.run(sendArgs(sandbox), { env });
  assert.deepEqual([refused.code, /ERR_CAMPAIGN_CHANGED/.test(refused.stdout)], [65, true]);
  assert.match(refused.stderr, /--as NEW-NAME/);

  const renamed = [...sendArgs(sandbox), '--as', 'autumn'];
  const sent = await folder.run([...renamed, '--results', 'out.csv'], { env });
  assert.deepEqual(rowsIn(sent), allSent(2));
  assert.match(sent.stdout, /"campaign":"autumn"/);
  assert.equal(takenBy(sandbox).length, 4);
  const of = (address: string) => sandbox.messages().filter(({ recipients }) => recipients[0] === address);
  const [old, fresh] = of('reader1@example.com');
  assert.notEqual(old?.reversePath, fresh?.reversePath);
  assert.ok(fresh?.data.toString().includes(messageIdPrefix('autumn')));
  assert.ok(folder.read('out.csv').includes(`<${messageIdPrefix('autumn')}`));

  assert.deepEqual(rowsIn(await folder.run(renamed, { env })), allSent(2, { end: 'already' }));
  const audit = await folder.run(['audit', 'autumn', '--state', 'state']);
  assert.equal(audit.code, 0, audit.stdout);
  const results = ['results', 'campaign.yaml', '--state', 'state', '--as', 'autumn'];
  const given = await folder.run(results, { env });
  assert.ok(given.stdout.includes(`<${messageIdPrefix('autumn')}`), given.stderr);
});

test('a name that a campaign file could not have is refused', async (context) => {
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(2) });
  for (const command of [
    ['send', 'campaign.yaml', 'list.csv'],
    ['results', 'campaign.yaml'],
  ]) {
    const ended = await folder.run([...command, '--as', 'spring sale']);
    assert.equal(ended.code, 64);
    assert.match(
      ended.stderr,
      /'--as <name>' argument 'spring sale' is invalid. expected at most 100 letters/,
    );
  }
});
