/**
 * Bodies of HTTP requests. Only uploads read one; what comes with any other request is not waited for:
 * the connection ends with the answer. And a body in pieces of some bytes (chunked, one piece each) is
 * nothing that a program sends: each piece costs as much as a thousand bytes, so that connection is
 * ended at once, with what else came in the same bytes.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { API_PATH } from '../protocol.js';

/** Pieces of any length that a body may begin with: a program that writes line by line. */
const PIECES_FREE = 500;
/** That each has on average, from then on. */
const PIECE_BYTES_MIN = 64;

/** What Node keeps with the socket of a server. */
interface HttpSocket extends Socket {
  readonly parser?: { pause(): void } | null;
}

/** Ends it, and reads nothing more of it: Node would go on to the end of what came in the same bytes. */
export function endUnread(socket: HttpSocket): void {
  socket.destroy();
  socket.parser?.pause();
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function boundPieces(request: IncomingMessage): void {
  const { socket } = request;
  const push = request.push.bind(request);
  let pieces = 0;
  let bytes = 0;
  request.push = (piece: Buffer | null, encoding) => {
    pieces += 1;
    bytes += piece?.length ?? 0;
    if (pieces > PIECES_FREE && bytes < (pieces - PIECES_FREE) * PIECE_BYTES_MIN) {
      endUnread(socket);
    }
    return push(piece, encoding);
  };
}

/** The handler, told of no body but those of transfers. */
export function withoutUnreadBodies(handler: RequestListener): RequestListener {
  return (request: IncomingMessage, response: ServerResponse) => {
    if (hasBody(request)) {
      boundPieces(request);
      const isTransfer = request.url?.startsWith(API_PATH) === true;
      if (!isTransfer) response.shouldKeepAlive = false;
    }
    handler(request, response);
  };
}
