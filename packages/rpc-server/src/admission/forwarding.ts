/** Requests that did not come straight from their client: a reverse proxy says so in its headers. */
import type { IncomingHttpHeaders } from 'node:http';

/** RFC 7239 (`Forwarded`), RFC 9110 §7.6.3 (`Via`), and what was used before them. */
const FORWARDING_HEADERS = [
  'forwarded',
  'via',
  'x-real-ip',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
] as const;

/** Whether a proxy that is between says so: then the address of the peer is the proxy's. */
export function isForwarded(headers: IncomingHttpHeaders): boolean {
  return FORWARDING_HEADERS.some((name) => headers[name] !== undefined);
}
