/**
 * The clear header as `@vault/redis-store` writes it: the index entries that a record is filed under.
 *
 * ```
 * ( lp(index name) ‖ token (16) ) repeated
 * ```
 */
import { isToken, TOKEN_BYTES, TOKEN_CHARACTERS } from './blind-index.js';
import { LENGTH_PREFIX_BYTES } from './length-prefix.js';
import { assertName, isName } from './names.js';

/** One entry: the record is filed in `index` under `token` (22 characters of base64url). */
export interface IndexEntry {
  readonly index: string;
  readonly token: string;
}

/** @throws RangeError when an index has no name that may stand here, or a token is not 22 characters of base64url in canonical form */
export function encodeIndexEntries(entries: readonly IndexEntry[]): Buffer {
  let bytes = 0;
  for (const { index, token } of entries) {
    assertName(index, 'index');
    if (!isToken(token)) {
      throw new RangeError(`expected a token of ${TOKEN_CHARACTERS} characters of base64url`);
    }
    // A name is ASCII: as many bytes as characters.
    bytes += LENGTH_PREFIX_BYTES + index.length + TOKEN_BYTES;
  }
  const out = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const { index, token } of entries) {
    at = out.writeUInt16BE(index.length, at);
    at += out.write(index, at, 'latin1');
    at += out.write(token, at, 'base64url');
  }
  return out;
}

/** @returns `undefined` when the bytes are not a whole list of entries */
export function decodeIndexEntries(header: Buffer): readonly IndexEntry[] | undefined {
  const entries: IndexEntry[] = [];
  let at = 0;
  while (at < header.length) {
    if (at + LENGTH_PREFIX_BYTES > header.length) return undefined;
    const nameAt = at + LENGTH_PREFIX_BYTES;
    const tokenAt = nameAt + header.readUInt16BE(at);
    const end = tokenAt + TOKEN_BYTES;
    if (end > header.length) return undefined;
    const index = header.toString('latin1', nameAt, tokenAt);
    if (!isName(index)) return undefined;
    entries.push({ index, token: header.toString('base64url', tokenAt, end) });
    at = end;
  }
  return entries;
}
