// Instants as people read them in tables and messages: UTC, without fractions.

/** "2026-03-20" */
export function formatDay(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

/** "2026-03-20 09:30:15Z" */
export function formatInstant(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')}Z`;
}
