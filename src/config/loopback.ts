// Whether a host is this machine.
import { isIPv4 } from 'node:net';

/** True for hosts that cannot be anywhere but on this machine (RFC 6761 §6.3, RFC 1122 §3.2.1.3, RFC 4291 §2.5.3). */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '');
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1') return true;
  const mapped = name.startsWith('::ffff:') ? name.slice('::ffff:'.length) : name;
  return isIPv4(mapped) && mapped.startsWith('127.');
}
