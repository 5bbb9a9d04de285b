/**
 * The XenStore wire protocol (Xen's public header io/xs_wire.h). A message, either way:
 *
 * ```
 * ┌──────┬────────────┬────────────────┬────────┬─────────┐
 * │ type │ request id │ transaction id │ length │ payload │
 * │ 4    │ 4 (echoed) │ 4 (0 = none)   │ 4      │ ≤ 4096  │
 * └──────┴────────────┴────────────────┴────────┴─────────┘      numbers in the byte order of the host
 * ```
 */
import { endianness } from 'node:os';

export const HEADER_BYTES = 16;
export const PAYLOAD_MAX_BYTES = 4096;

export const MESSAGE_TYPES = {
  directory: 1,
  read: 2,
  transactionStart: 6,
  transactionEnd: 7,
  write: 11,
  remove: 13,
  error: 16,
} as const satisfies Record<string, number>;

export interface Message {
  readonly type: number;
  readonly requestId: number;
  readonly transactionId: number;
  readonly payload: Buffer;
}

const isLittleEndian = endianness() === 'LE';

function readU32(buffer: Buffer, offset: number): number {
  return isLittleEndian ? buffer.readUInt32LE(offset) : buffer.readUInt32BE(offset);
}

function writeU32(buffer: Buffer, value: number, offset: number): void {
  if (isLittleEndian) buffer.writeUInt32LE(value, offset);
  else buffer.writeUInt32BE(value, offset);
}

/** @returns a new buffer with a copy of the payload in it */
export function encodeMessage(message: Message): Buffer {
  const out = Buffer.alloc(HEADER_BYTES + message.payload.length);
  writeU32(out, message.type, 0);
  writeU32(out, message.requestId, 4);
  writeU32(out, message.transactionId, 8);
  writeU32(out, message.payload.length, 12);
  message.payload.copy(out, HEADER_BYTES);
  return out;
}

/**
 * Takes the first message off the front of what was received.
 * @returns `undefined` when it is not whole yet; its payload is a view into `received`
 * @throws RangeError when the length is over the protocol's limit
 */
export function decodeMessage(received: Buffer): Message | undefined {
  if (received.length < HEADER_BYTES) return undefined;
  const length = readU32(received, 12);
  if (length > PAYLOAD_MAX_BYTES) {
    throw new RangeError(`expected at most ${PAYLOAD_MAX_BYTES} bytes of payload, met ${length}`);
  }
  if (received.length < HEADER_BYTES + length) return undefined;
  return {
    type: readU32(received, 0),
    requestId: readU32(received, 4),
    transactionId: readU32(received, 8),
    payload: received.subarray(HEADER_BYTES, HEADER_BYTES + length),
  };
}
