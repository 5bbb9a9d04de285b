/**
 * Requests that a client sends on one connection without waiting for the answers. HTTP/1.1 allows it,
 * and nearly no client does it; but 64 KiB hold 2 000 requests, which Node makes all at once, and
 * whose answers wait in memory for a client that need not read them.
 */
import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { hasTooManyHeaders, refuseTooManyHeaders } from './header-count.js';
import { stopWhenDestroyed } from './http-parser.js';

/** Of one connection that are not answered yet: it is ended by one more. */
const UNANSWERED_MAX = 16;

/** The handler, but for connections that send too many requests at once, or requests of too many headers. */
export function withoutFloods(handler: RequestListener): RequestListener {
  const unanswered = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    if (socket.destroyed) return;
    if (!unanswered.has(socket)) stopWhenDestroyed(socket);
    if (hasTooManyHeaders(request)) {
      refuseTooManyHeaders(socket);
      return;
    }
    const count = (unanswered.get(socket) ?? 0) + 1;
    if (count > UNANSWERED_MAX) {
      socket.destroy();
      return;
    }
    unanswered.set(socket, count);
    response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
    handler(request, response);
  };
}
