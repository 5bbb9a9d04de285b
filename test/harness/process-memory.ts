import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** Larger ones are reservations of the runtime, not memory that is used. */
const MAPPING_MAX_BYTES = 512 * 2 ** 20;
const CHUNK_BYTES = 16 * 2 ** 20;

/**
 * How often bytes stand in the writable memory of a running child process of ours: what a core dump of it would hold.
 * @param needle up to 4096 bytes
 */
export function countInMemory(pid: number, needle: Uint8Array): number {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  let count = 0;
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
      if (from === undefined || to === undefined) continue;
      const [start, end] = [Number.parseInt(from, 16), Number.parseInt(to, 16)];
      if (end - start > MAPPING_MAX_BYTES) continue;
      for (let at = start; at < end; at += CHUNK_BYTES) {
        // One that lies across two chunks is found in the first, and counted once.
        const length = Math.min(end - at, CHUNK_BYTES + needle.length - 1);
        count += countIn(readAt(memory, at, length), needle);
      }
    }
  } finally {
    closeSync(memory);
  }
  return count;
}

/** What can be read there: a mapping may end, or be of a device. */
function readAt(memory: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  try {
    return bytes.subarray(0, readSync(memory, bytes, 0, length, at));
  } catch {
    return bytes.subarray(0, 0);
  }
}

function countIn(bytes: Buffer, needle: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) count++;
  return count;
}
