/**
 * The clear header as `@vault/redis-store` writes it: the index entries that a record is filed under.
 *
 * ```
 * ( lp(index name) ‖ token (16) ) repeated
 * ```
 */
import { LENGTH_PREFIX_BYTES, lengthPrefixed } from './length-prefix.js';
import { TOKEN_BYTES, TOKEN_CHARACTERS } from './blind-index.js';
import { isName } from './names.js';

/** One entry: the record is filed in `index` under `token` (22 characters of base64url). */
export interface IndexEntry {
  readonly index: string;
  readonly token: string;
}

/** @throws RangeError when a token is not 22 characters of base64url */
export function encodeIndexEntries(entries: readonly IndexEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const { index, token } of entries) {
    const bytes = Buffer.from(token, 'base64url');
    if (token.length !== TOKEN_CHARACTERS || bytes.length !== TOKEN_BYTES) {
      throw new RangeError(
        `expected a token of ${TOKEN_CHARACTERS} characters, met ${token.length}`,
      );
    }
    parts.push(lengthPrefixed(index), bytes);
  }
  return Buffer.concat(parts);
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
    const index = header.toString('utf8', nameAt, tokenAt);
    if (!isName(index)) return undefined;
    entries.push({ index, token: header.toString('base64url', tokenAt, end) });
    at = end;
  }
  return entries;
}
