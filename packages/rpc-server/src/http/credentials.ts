/** Credentials in the headers of an HTTP request: Basic, Bearer, or a token in a cookie. */
import type { IncomingHttpHeaders } from 'node:http';

export type HeaderCredentials =
  | { readonly kind: 'password'; readonly email: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string };

/** Names under which Xen Orchestra and Crowd keep a token. */
const TOKEN_COOKIES: ReadonlySet<string> = new Set(['authenticationToken', 'crowd.token_key']);

function fromCookies(header: string): HeaderCredentials | undefined {
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, Math.max(at, 0)).trim();
    if (TOKEN_COOKIES.has(name)) return { kind: 'token', token: pair.slice(at + 1).trim() };
  }
  return undefined;
}

/** @returns `undefined` when there are none, or none that can be read (RFC 7617, RFC 6750) */
export function headerCredentials(headers: IncomingHttpHeaders): HeaderCredentials | undefined {
  const { authorization, cookie } = headers;
  if (authorization === undefined) return cookie === undefined ? undefined : fromCookies(cookie);
  const [scheme = '', value = ''] = authorization.split(' ', 2);
  switch (scheme.toLowerCase()) {
    case 'bearer':
      return { kind: 'token', token: value };
    case 'basic': {
      const text = Buffer.from(value, 'base64').toString();
      const colon = text.indexOf(':');
      if (colon < 0) return undefined;
      return { kind: 'password', email: text.slice(0, colon), password: text.slice(colon + 1) };
    }
    default:
      return undefined;
  }
}
