import { isAbsolute } from 'node:path';
import { UsageError } from './errors.js';

/** Where one server listens, worked out from what the user typed. */
export interface ServerAddress {
  /** `ws:` or `wss:` URL of the API, without any credential. */
  readonly webSocketUrl: string;
  /** `http:` or `https:` URL, ending in `/api/`: the one-time URLs of transfers are relative to it. */
  readonly transferBaseUrl: string;
  /** Unix socket on which the server is asked; `undefined`: over the network. */
  readonly socketPath: string | undefined;
  /** For messages: as typed, without the token. */
  readonly label: string;
  /** User part of the URL, raw: a bearer token. */
  readonly token: string | undefined;
  /** Whether the server is on this machine or TLS protects what is sent. */
  readonly isProtected: boolean;
}

/** The scheme that is typed, to those that are spoken. */
const SCHEMES = {
  'http:': { webSocket: 'ws:', transfer: 'http:' },
  'ws:': { webSocket: 'ws:', transfer: 'http:' },
  'https:': { webSocket: 'wss:', transfer: 'https:' },
  'wss:': { webSocket: 'wss:', transfer: 'https:' },
} as const;

/** `unix:/path`, or `unix:///path`. */
const UNIX = /^unix:(?:\/\/(?=\/))?/i;

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/i;

/**
 * `https://<token>@host:port/base` → addresses. Trailing slashes are dropped and `/api/` is appended,
 * so a base path is kept. Without a scheme TLS is used, except for this machine, where the server
 * speaks plain HTTP by default: there the scheme has to be written.
 *
 * `unix:/path` is the local socket of a server.
 *
 * @throws UsageError for a URL that is none, another scheme, a password, a query or a fragment.
 */
export function parseServerAddress(text: string): ServerAddress {
  if (UNIX.test(text)) return socketAddress(text.replace(UNIX, ''));
  const url = toUrl(text);
  const scheme = isKnownScheme(url.protocol) ? SCHEMES[url.protocol] : undefined;
  if (scheme === undefined) {
    throw new UsageError(
      `expected an http, https, ws, wss or unix URL, met the scheme ${url.protocol}`,
    );
  }
  if (url.password !== '') {
    throw new UsageError('a URL may carry a token before the @, but no password');
  }
  if (url.search !== '' || url.hash !== '') {
    throw new UsageError('the URL of a server has neither ? nor #');
  }
  const path = `${url.pathname.replace(/\/+$/, '')}/api/`;
  return {
    webSocketUrl: `${scheme.webSocket}//${url.host}${path}`,
    transferBaseUrl: `${scheme.transfer}//${url.host}${path}`,
    socketPath: undefined,
    label: `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`,
    token: url.username === '' ? undefined : url.username,
    isProtected: scheme.webSocket === 'wss:' || LOOPBACK_HOST.test(url.hostname),
  };
}

/** What a socket's server calls itself matters to nobody: the host is only there because URLs have one. */
function socketAddress(path: string): ServerAddress {
  if (!isAbsolute(path) || path.startsWith('//')) {
    throw new UsageError(
      'a Unix socket is named by its whole path, such as unix:/var/lib/vault-server/data/vault.sock',
    );
  }
  return {
    webSocketUrl: 'ws://localhost/api/',
    transferBaseUrl: 'http://localhost/api/',
    socketPath: path,
    label: `unix:${path}`,
    token: undefined,
    isProtected: true,
  };
}

function toUrl(text: string): URL {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const complete = hasScheme ? text : `wss://${text}`;
  if (!URL.canParse(complete)) {
    throw new UsageError('expected the URL of a server, such as https://vault.example.org');
  }
  const url = new URL(complete);
  if (!hasScheme && LOOPBACK_HOST.test(url.hostname)) {
    throw new UsageError(
      `${url.host} has no scheme, and without one TLS is used`,
      `write http://${url.host} for a server on this machine (or https://${url.host})`,
    );
  }
  return url;
}

function isKnownScheme(protocol: string): protocol is keyof typeof SCHEMES {
  return Object.hasOwn(SCHEMES, protocol);
}
