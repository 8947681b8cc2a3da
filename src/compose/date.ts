// The Date field's value (RFC 5322 §3.3), in UTC.

/** Formats milliseconds since the epoch: "Tue, 01 Sep 2026 09:30:00 +0000". */
export function formatDate(at: number): string {
  return new Date(at).toUTCString().replace('GMT', '+0000');
}
