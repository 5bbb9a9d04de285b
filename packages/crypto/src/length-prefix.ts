/** `lp(x)` of the format: `u16 big-endian length ‖ bytes`. Everything that is concatenated under a MAC or an AAD goes through it. */

export const LENGTH_PREFIX_BYTES = 2;
export const LENGTH_PREFIX_MAX = 0xffff;

/**
 * @param value bytes, or a string taken as UTF-8; at most 65 535 bytes
 * @returns a new buffer, `u16 length ‖ bytes`
 * @throws RangeError when the value is longer
 */
export function lengthPrefixed(value: string | Uint8Array): Buffer {
  const length = typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength;
  if (length > LENGTH_PREFIX_MAX) {
    throw new RangeError(`expected at most ${LENGTH_PREFIX_MAX} bytes, met ${length}`);
  }
  const out = Buffer.allocUnsafe(LENGTH_PREFIX_BYTES + length);
  out.writeUInt16BE(length, 0);
  if (typeof value === 'string') out.write(value, LENGTH_PREFIX_BYTES, 'utf8');
  else out.set(value, LENGTH_PREFIX_BYTES);
  return out;
}
