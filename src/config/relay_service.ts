// Services that nodemailer knows by name: where their relays are.
import findWellKnown from 'nodemailer/lib/well-known';
import { push, type RelaySite } from './relay_site.ts';

/** What a service says of its relay. */
export interface Service {
  readonly host: string;
  readonly port?: number | undefined;
  readonly secure?: boolean | undefined;
  /** The SASL mechanism that it wants. */
  readonly method?: string | undefined;
}

/** The service that a relay names; without one, or with one that nobody knows, a stand-in that is loopback. */
export function findService(site: RelaySite): Service {
  const { service, host } = site.written;
  if (service === undefined) return { host: 'localhost' };
  const known = findWellKnown(service);
  if (known === false) {
    push(site, ['service'], {
      what: 'is no service that nodemailer knows',
      expected: 'a name such as gmail, or host and port instead',
    });
    return { host: 'localhost' };
  }
  if (host !== undefined) {
    push(site, ['service'], { what: 'and host both say where the relay is', expected: 'one of them' });
  }
  const { host: serviceHost = 'localhost', port, secure, authMethod: method } = known;
  return { host: serviceHost, port: port === undefined ? undefined : Number(port), secure, method };
}
