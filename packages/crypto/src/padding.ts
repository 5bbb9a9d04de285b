/** Padding hides the length of a record from whoever reads the envelope. */

const SPACE = 0x20;
const BLOCK_MAX_BYTES = 65_536;

/**
 * Pads JSON text with trailing spaces (which JSON allows, so a reader needs no flag) up to a multiple
 * of `block` bytes: records of one block length cannot be told apart by their length.
 * @param block 1 (no padding) to 65 536 bytes
 * @returns a view of the bytes that were given, where the block is 1
 * @throws RangeError on another block
 */
export function padJson(json: Uint8Array, block: number): Buffer {
  if (!Number.isInteger(block) || block < 1 || block > BLOCK_MAX_BYTES) {
    throw new RangeError(`expected a padding block of 1 to ${BLOCK_MAX_BYTES} bytes`);
  }
  if (block === 1) return Buffer.from(json.buffer, json.byteOffset, json.byteLength);
  const length = Math.ceil(json.byteLength / block) * block;
  const out = Buffer.alloc(length, SPACE);
  out.set(json);
  return out;
}

/** Takes the padding off again: the bytes without trailing spaces. */
export function unpadJson(padded: Buffer): Buffer {
  let end = padded.length;
  while (end > 0 && padded[end - 1] === SPACE) end--;
  return padded.subarray(0, end);
}
