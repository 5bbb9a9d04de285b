/**
 * What we need of the HTTP parser of Node beyond its interface: that it stops. 64 KiB may hold 2 000
 * requests, or 10 000 pieces of a body, and it calls JavaScript for each, also after the connection was
 * ended: with some hundred connections that takes seconds. The fields are internal to Node; where they
 * are others, it only costs more.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

type OnIncoming = (request: IncomingMessage, keepsAlive: boolean) => number;

interface Parser {
  /** Called with each request, once its headers are read. */
  onIncoming?: OnIncoming | null;
  readonly constructor: { readonly kOnBody?: number };
  /** At `kOnBody`: called with each piece of a body. */
  [index: number]: unknown;
}

/** What it returns for an upgrade: what follows is not for the parser. */
const READ_NO_MORE = 2;

function parserOf(socket: Socket): Parser | undefined {
  const parser: unknown = Reflect.get(socket, 'parser');
  return typeof parser === 'object' && parser !== null ? (parser as Parser) : undefined;
}

/** From now on, once the connection is destroyed, what else came in the same bytes is not parsed. */
export function stopWhenDestroyed(socket: Socket): void {
  const parser = parserOf(socket);
  const onIncoming = parser?.onIncoming;
  if (parser === undefined || typeof onIncoming !== 'function') return;
  parser.onIncoming = (request, keepsAlive) => {
    if (socket.destroyed) return READ_NO_MORE;
    const result = onIncoming(request, keepsAlive);
    return socket.destroyed ? READ_NO_MORE : result;
  };
}

/** What parsers call with pieces of bodies, the same function for all. */
let heard: unknown;

/** Whether somebody hears of the pieces of the body that comes now. Parsers are used again, for other connections. */
export function hearBody(socket: Socket, isHeard: boolean): void {
  const parser = parserOf(socket);
  const at = parser?.constructor.kOnBody;
  if (parser === undefined || at === undefined) return;
  heard ??= parser[at];
  if (parser[at] === (isHeard ? heard : undefined)) return;
  parser[at] = isHeard ? heard : undefined;
  if (!isHeard) {
    // After the listener of Node, which gives the parser back.
    socket.once('close', () => {
      parser[at] = heard;
    });
  }
}
