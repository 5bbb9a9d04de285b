/**
 * Bodies of HTTP requests. Only uploads that somebody was offered read one; what comes with any other request is dropped by the
 * parser, and the connection ends with the answer. And a body in pieces of some bytes (chunked, one
 * piece each) is nothing that a program sends: each piece costs as much as a thousand bytes, so that
 * connection is ended at once.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { hearBody } from './http-parser.js';

/** Pieces of any length that a body may begin with: a program that writes line by line. */
const PIECES_FREE = 500;
/** That each has on average, from then on. */
const PIECE_BYTES_MIN = 64;

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
      hearBody(socket, false);
      socket.destroy();
    }
    return push(piece, encoding);
  };
}

/**
 * The handler, told of no body that nobody waits for.
 * @param isAwaited whether somebody was offered to upload to that path
 */
export function withoutUnreadBodies(
  handler: RequestListener,
  isAwaited: (path: string) => boolean,
): RequestListener {
  return (request: IncomingMessage, response: ServerResponse) => {
    if (hasBody(request)) {
      const isUpload = isAwaited(request.url ?? '');
      hearBody(request.socket, isUpload);
      if (isUpload) boundPieces(request);
      else response.shouldKeepAlive = false;
    }
    handler(request, response);
  };
}
