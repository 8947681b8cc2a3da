// How a listener for HTTP ends.
import { once } from 'node:events';
import type { Server } from 'node:http';

/**
 * Stops listening, lets answers that are under way end for `graceMs` milliseconds, then ends all connections.
 * A follower of a stream of events would otherwise keep the server open for ever.
 */
export async function closeHttpServer(server: Server, graceMs: number): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
