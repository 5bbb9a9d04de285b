/**
 * Changes the largest message that an open WebSocket takes.
 *
 * `ws` fixes it at the upgrade, when nobody is signed in yet. Its receiver compares each frame's
 * declared length with this number before it reads the payload, so the number itself is changed: the
 * alternative, to let 16 MiB in and then throw them away, would give every stranger that memory. The
 * field is internal to `ws`, whose version is pinned; it is checked here, and tests go past both limits.
 */
import type { WebSocket } from 'ws';

const LIMIT_FIELD = '_maxPayload';

/** Answered with close code 1009 when a message is longer. */
export function setMessageLimit(socket: WebSocket, bytes: number): void {
  const receiver: unknown = Reflect.get(socket, '_receiver');
  // A socket that is closed has no receiver any more, and takes nothing.
  if (receiver === undefined || receiver === null) return;
  if (typeof receiver !== 'object' || typeof Reflect.get(receiver, LIMIT_FIELD) !== 'number') {
    throw new TypeError(`the receiver of ws has no ${LIMIT_FIELD} any more`);
  }
  Reflect.set(receiver, LIMIT_FIELD, bytes);
}
