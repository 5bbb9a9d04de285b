import { request as requestHttp, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { CallRefusedError, InterruptedError, TransferFailedError } from '../errors.js';

export interface ExchangeOptions {
  /** Unix socket of the server; `undefined`: over the network. */
  readonly socketPath: string | undefined;
  /** Accept any TLS certificate. */
  readonly allowUnauthorized: boolean;
  /** Stops the transfer. */
  readonly signal: AbortSignal;
}

/** More of an error page than this helps nobody. */
const MAX_ERROR_BODY_BYTES = 64 * 1024;
const MAX_SHOWN_CHARACTERS = 500;

/**
 * Opens a one-time URL on a connection of its own. No credential is sent: the secret is in the path.
 * Redirects are not followed: the server answers an unknown URL with one, to a page for people.
 */
export function openExchange(
  method: 'GET' | 'POST',
  url: URL,
  headers: Readonly<Record<string, string>>,
  options: ExchangeOptions,
): ClientRequest {
  const common = { method, headers, agent: false, signal: options.signal };
  if (url.protocol === 'https:') {
    return requestHttps(url, { ...common, rejectUnauthorized: !options.allowUnauthorized });
  }
  if (url.protocol === 'http:') {
    const { socketPath } = options;
    return requestHttp(url, { ...common, ...(socketPath !== undefined && { socketPath }) });
  }
  throw new TransferFailedError(`the server gave a transfer URL of the scheme ${url.protocol}`);
}

/** @throws TransferFailedError, or CallRefusedError when the answer holds a JSON-RPC error. */
export async function refuseUnlessOk(response: IncomingMessage): Promise<void> {
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return;
  const body = await readText(response, MAX_ERROR_BODY_BYTES).catch(() => '');
  throwIfRpcError(body);
  const reason = response.statusMessage ?? '';
  const isRedirect = status >= 300 && status < 400;
  throw new TransferFailedError(
    `the server answered ${status} ${reason}${isRedirect || body === '' ? '' : `: ${shorten(body)}`}`,
    { advice: 'a transfer URL works once and for a few minutes: run the command again' },
  );
}

/** Finds `{"error": {"code", "message", "data"}}`, as a failed import answers. */
export function throwIfRpcError(body: string): void {
  const error = propertyOf(parseJson(body), 'error');
  const code = propertyOf(error, 'code');
  const message = propertyOf(error, 'message');
  if (typeof message !== 'string') return;
  if (typeof code === 'number') {
    throw new CallRefusedError(code, message, propertyOf(error, 'data'));
  }
  throw new TransferFailedError(`the server answered: ${message}`);
}

/** `result` of a JSON-RPC shaped answer, the parsed JSON of another, or the text itself without its line end. */
export function readableBody(body: string): unknown {
  const parsed = parseJson(body);
  if (parsed === undefined) return body.replace(/\n$/, '');
  return propertyOf(parsed, 'jsonrpc') === '2.0' ? (propertyOf(parsed, 'result') ?? true) : parsed;
}

export async function readText(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let lengthBytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    lengthBytes += chunk.length;
    if (lengthBytes > maxBytes) break;
  }
  return Buffer.concat(chunks).toString('utf8', 0, maxBytes);
}

/** Names what broke a transfer. Errors of ours pass as they are. */
export function transferError(what: string, error: unknown, signal: AbortSignal): Error {
  if (signal.aborted) return new InterruptedError();
  if (error instanceof CallRefusedError || error instanceof TransferFailedError) return error;
  const reason = error instanceof Error ? error.message : 'unexpected error';
  return new TransferFailedError(`${what} did not go through: ${reason}`, {
    cause: error,
    advice: "the other side may have refused it half-way: the server's log says why",
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function propertyOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

function shorten(text: string): string {
  const line = text.trim();
  return line.length > MAX_SHOWN_CHARACTERS ? `${line.slice(0, MAX_SHOWN_CHARACTERS)}…` : line;
}
