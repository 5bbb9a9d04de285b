/**
 * How many headers a request has. 16 KiB hold two thousand, of which Node makes objects before anybody
 * is asked: some hundred connections that send such requests keep everybody waiting. Browsers and
 * proxies send some twenty.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

const HEADERS_MAX = 100;

/** Node reads one more, by which {@link hasTooManyHeaders} knows, and drops the rest. */
export function boundHeaders(server: Server): void {
  server.maxHeadersCount = HEADERS_MAX + 1;
}

/** To be refused: one that Node dropped may have said whose request it is, or that it has a body. */
export function hasTooManyHeaders({ rawHeaders }: IncomingMessage): boolean {
  return rawHeaders.length > 2 * HEADERS_MAX;
}

/** Answers and ends the connection at once: what else came in the same bytes is not parsed. */
export function refuseTooManyHeaders(socket: Duplex): void {
  const body = `a request has at most ${HEADERS_MAX} headers\n`;
  socket.write(
    `HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  socket.destroy();
}
