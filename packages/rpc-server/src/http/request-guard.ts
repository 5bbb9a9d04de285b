/**
 * Keeps other web sites out: a page that a browser loaded from elsewhere must not reach this server
 * with the browser's network position (DNS rebinding, cross-site WebSocket hijacking). Clients that
 * are no browsers send no `Origin` and are not touched.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

export interface GuardOptions {
  /** Host names that this server answers to, beside `localhost` and literal addresses. */
  readonly allowedHosts: readonly string[];
  /** Origins (`https://console.example.org`) that may call, beside the server's own. */
  readonly allowedOrigins: readonly string[];
}

/** Why a request is refused, with its HTTP status. */
export interface Refusal {
  readonly status: 400 | 403 | 421;
  readonly reason: string;
}

/** Host name without port; `undefined` when the header is no host. */
function hostNameOf(host: string): string | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?$/.exec(host);
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

export class RequestGuard {
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor({ allowedHosts, allowedOrigins }: GuardOptions) {
    this.#hosts = new Set(['localhost', ...allowedHosts.map((host) => host.toLowerCase())]);
    this.#origins = new Set(allowedOrigins.map((origin) => origin.toLowerCase()));
  }

  /** @param isPage whether it is a `GET` of the console, to which other sites may link */
  refusal(headers: IncomingHttpHeaders, isPage: boolean): Refusal | undefined {
    const { host, origin } = headers;
    const name = host === undefined ? undefined : hostNameOf(host);
    if (host === undefined || name === undefined) {
      return { status: 400, reason: 'no valid Host header' };
    }
    // A rebinding attack needs a name of its own: a literal address is always the address itself.
    if (isIP(name) === 0 && !this.#hosts.has(name)) {
      return { status: 421, reason: 'this host name is not in allowedHosts' };
    }
    if (origin !== undefined && !this.#isAllowedOrigin(origin, host)) {
      return { status: 403, reason: 'this origin is not in allowedOrigins' };
    }
    const site = headers['sec-fetch-site'];
    const isForeign = site === 'cross-site' || site === 'same-site';
    const isNavigation = isPage && headers['sec-fetch-mode'] === 'navigate';
    if (isForeign && !isNavigation && origin === undefined) {
      return { status: 403, reason: 'cross-site requests are refused' };
    }
    return undefined;
  }

  #isAllowedOrigin(origin: string, host: string): boolean {
    const sent = origin.toLowerCase();
    const own = host.toLowerCase();
    return sent === `http://${own}` || sent === `https://${own}` || this.#origins.has(sent);
  }
}
