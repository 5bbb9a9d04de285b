/** The operations of one call of `write.lua` as one argument; the layout is in the header of that file. */
import type { FiledEntry } from '../records/filed-entry.js';
import type { WriteOp } from './partition.js';

/** Flags, numbers of entries, and four lengths. */
const FIXED_BYTES = 4 + 2 * 2 + 2 + 4 + 4 + 2;
/** UTF-8 takes at most this many bytes for a code unit of UTF-16. */
const BYTES_PER_UNIT = 3;

/** As the scripts name the kind of an entry. */
export function kindLetter({ kind }: FiledEntry): 'u' | 'i' {
  return kind === 'unique' ? 'u' : 'i';
}

/** @throws RangeError for an operation with over 65 535 entries, or an id of over 65 535 bytes */
export function packOps(ops: readonly WriteOp[]): Buffer {
  const bytes = ops.reduce((sum, op) => sum + maxBytes(op), 0);
  const out = Buffer.allocUnsafe(bytes);
  const end = ops.reduce((at, op) => packOp(out, at, op), 0);
  return out.subarray(0, end);
}

function maxBytes({ id, expected, value, add, claim, remove }: WriteOp): number {
  const entries = add.length + (claim?.length ?? 0) + remove.length;
  const values = (expected?.length ?? 0) + (value?.length ?? 0);
  return FIXED_BYTES + BYTES_PER_UNIT * id.length + values + entries;
}

/** @returns where the next one begins */
function packOp(out: Buffer, start: number, op: WriteOp): number {
  const { id, expected, value, add, claim = [], remove, onSame = 'done', mayRepeat = false } = op;
  let at = start;
  out[at++] = expected === null ? 0 : 1;
  out[at++] = value === null ? 0 : 1;
  out[at++] = onSame === 'done' ? 1 : 0;
  out[at++] = mayRepeat ? 1 : 0;
  at = out.writeUInt16BE(add.length + claim.length, at);
  at = out.writeUInt16BE(remove.length, at);
  const idBytes = out.write(id, at + 2, 'utf8');
  at = out.writeUInt16BE(idBytes, at) + idBytes;
  at = packBytes(out, at, expected);
  at = packBytes(out, at, value);
  const kinds =
    add.map(kindLetter).join('') + 'c'.repeat(claim.length) + remove.map(kindLetter).join('');
  at = out.writeUInt16BE(kinds.length, at);
  return at + out.write(kinds, at, 'latin1');
}

function packBytes(out: Buffer, start: number, bytes: Buffer | null): number {
  const at = out.writeUInt32BE(bytes?.length ?? 0, start);
  if (bytes === null) return at;
  out.set(bytes, at);
  return at + bytes.length;
}
