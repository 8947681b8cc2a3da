// Composes a golden message the way the daemon does, from the campaign file to its bytes.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileCampaign, type Composed } from '../../../src/compose/compose.ts';
import { prepareCampaign } from '../../../src/compose/prepare.ts';
import { loadCampaign } from '../../../src/config/load_campaign.ts';
import type { Cell } from '../../../src/mail/recipient.ts';

/** What row.json holds. */
interface GoldenRow {
  readonly row: number;
  readonly address: string;
  readonly values: Readonly<Record<string, Cell>>;
}

/** Every message's Date. */
const at = Date.UTC(2026, 8, 1, 9, 30);

export const goldenNames: readonly string[] = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort();

export function goldenPath(name: string): string {
  return join(import.meta.dirname, name, 'message.eml');
}

export async function composeGolden(name: string): Promise<Composed> {
  const folder = join(import.meta.dirname, name);
  const campaign = await prepareCampaign(loadCampaign(join(folder, 'campaign.yaml'), {}).campaign);
  const { row, address, values }: GoldenRow = JSON.parse(readFileSync(join(folder, 'row.json'), 'utf8'));
  const composer = compileCampaign({ id: 1, campaign, columns: Object.keys(values) });
  return composer.compose({ row, line: row + 1, address, cells: Object.values(values) }, at);
}
