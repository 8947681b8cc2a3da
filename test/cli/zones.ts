// What tests of recipients' timezones share: a campaign, a list, and a window that is open for some of it.
import { campaignYaml } from './posthaste.ts';

const hourMs = 3_600_000;

/** A window that is open in UTC for more than an hour from now on, and closed in Tokyo, nine hours ahead, until `opensAt`. */
export function makeWindow(): { readonly yaml: string; readonly opensAt: string } {
  const hourAt = Math.floor(Date.now() / hourMs) * hourMs;
  return {
    yaml: `sendWindows: [{ from: "${text(hourAt - hourMs)}", to: "${text(hourAt + 2 * hourMs)}" }]\n`,
    opensAt: new Date(hourAt + 14 * hourMs).toISOString(),
  };
}

function text(at: number): string {
  return `${new Date(at).toISOString().slice(11, 13)}:00`;
}

export const zonedYaml = campaignYaml.replace(
  'list: { address: email }',
  'list: { address: email, timezone: tz }',
);
/** Of 1, 3 and 6 the window is open, of 2 and 4 it is closed; 5 is invalid. */
export const zonedList = `email,first_name,tz
reader1@example.com,Ann,UTC
reader2@example.com,Ben,Asia/Tokyo
reader3@example.com,Cid,
reader4@example.com,Dot,Asia/Tokyo
reader5@example.com,Eve,Mars/Olympus
reader6@example.com,Fay,Etc/UTC
`;
