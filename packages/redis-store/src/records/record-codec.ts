/** From a record to what is stored and back, strict by state: what a state does not allow is an error, never a silent pass-through. */
import { hash } from 'node:crypto';
import {
  blindIndexToken,
  decodeIndexEntries,
  encodeIndexEntries,
  envelopeKeyId,
  isEnvelope,
  KEY_ID_BYTES,
  lengthPrefixed,
  openEnvelope,
  padJson,
  parseEnvelope,
  sealEnvelope,
  TOKEN_BYTES,
  truncateBase64url,
  unpadJson,
} from '@vault/crypto';
import type { IndexKey, KeyId, VaultKey } from '@vault/crypto';
import type { CollectionDefinition, IndexDefinition } from './collection-definition.js';
import { RecordUnreadableError } from '../errors.js';
import type { UnreadableReason } from '../errors.js';
import { entriesWithout } from './filed-entry.js';
import type { FiledEntry } from './filed-entry.js';
import { indexedValue } from './indexed-value.js';
import { decodeRecord } from './json-record.js';
import type { CredentialRecord } from './json-record.js';

/** What may be read now: which forms, and which keys open. */
export interface OpeningRules {
  readonly mayBePlaintext: boolean;
  readonly mayBeEnvelope: boolean;
  /** @returns `undefined` for a key that may open nothing now */
  byId(id: KeyId): VaultKey | undefined;
}

/** A normalised value of a record, and the index that it is filed in. */
export interface IndexedValue {
  readonly kind: FiledEntry['kind'];
  readonly index: string;
  readonly value: string | Buffer;
}

const PLAIN_LABEL = 'vault/v1/plain-index';
const BRACE = 0x7b;

export class RecordCodec {
  readonly collection: string;
  readonly definition: CollectionDefinition;
  readonly #indexes: readonly (readonly [string, IndexDefinition])[];
  /** What the hash of a plaintext token begins with, by index. */
  readonly #plainPrefixes = new Map<string, Buffer>();
  #indexKeys: { readonly key: VaultKey; readonly byIndex: Map<string, IndexKey> } | undefined;
  #lastKey: VaultKey | undefined;

  constructor(collection: string, definition: CollectionDefinition) {
    this.collection = collection;
    this.definition = definition;
    this.#indexes = Object.entries(definition.indexes);
  }

  /**
   * The entries that a record is filed under.
   * @param key `undefined` in plaintext: the token is then an unkeyed hash, so that a key name never shows a value
   */
  entries(record: CredentialRecord, key: VaultKey | undefined): FiledEntry[] {
    return this.file(this.values(record), key);
  }

  /** The normalised values that a record is filed under: for {@link file}, more than once. */
  values(record: CredentialRecord): IndexedValue[] {
    const values: IndexedValue[] = [];
    for (const [index, definition] of this.#indexes) {
      const value = indexedValue(definition, record);
      if (value !== undefined) values.push({ kind: definition.kind, index, value });
    }
    return values;
  }

  /** The entries of such values; as in {@link entries}. */
  file(values: readonly IndexedValue[], key: VaultKey | undefined): FiledEntry[] {
    return values.map(({ kind, index, value }) => ({
      kind,
      index,
      token: this.token(index, value, key),
    }));
  }

  /** The token of a value that was made by {@link indexedValue} or {@link queriedValue}. */
  token(index: string, value: string | Buffer, key: VaultKey | undefined): string {
    if (key !== undefined) return blindIndexToken(this.#indexKey(key, index), value);
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    const hashed = Buffer.concat([this.#plainPrefix(index), bytes]);
    return truncateBase64url(hash('sha256', hashed, 'base64url'), TOKEN_BYTES);
  }

  #plainPrefix(index: string): Buffer {
    let prefix = this.#plainPrefixes.get(index);
    if (prefix === undefined) {
      prefix = Buffer.concat([
        Buffer.from(PLAIN_LABEL),
        lengthPrefixed(this.collection),
        lengthPrefixed(index),
      ]);
      this.#plainPrefixes.set(index, prefix);
    }
    return prefix;
  }

  /** Nearly always the key of the last call: its index keys are kept at hand; a destroyed one throws as ever. */
  #indexKey(key: VaultKey, index: string): IndexKey {
    if (this.#indexKeys?.key !== key) this.#indexKeys = { key, byIndex: new Map() };
    const { byIndex } = this.#indexKeys;
    let indexKey = byIndex.get(index);
    if (indexKey === undefined) {
      indexKey = key.indexKey(this.collection, index);
      byIndex.set(index, indexKey);
    }
    return indexKey;
  }

  /** The bytes to store: an envelope with its entries in the clear header, or in plaintext the JSON itself. */
  encode(
    key: VaultKey | undefined,
    id: string,
    json: Buffer,
    entries: readonly FiledEntry[],
  ): Buffer {
    if (key === undefined) return json;
    const padded = padJson(json, this.definition.paddingBytes ?? 1);
    return sealEnvelope(key.recordKey(this.collection), id, padded, encodeIndexEntries(entries));
  }

  /**
   * @returns the JSON bytes, just as they were written
   * @throws {RecordUnreadableError} with the reason for operators
   */
  open(rules: OpeningRules, id: string, stored: Buffer): Buffer {
    if (stored[0] === BRACE) {
      if (!rules.mayBePlaintext) throw this.#unreadable(id, 'plaintext');
      return stored;
    }
    if (!isEnvelope(stored))
      throw this.#unreadable(id, stored.length === 0 ? 'truncated' : 'unknown-version');
    if (!rules.mayBeEnvelope) throw this.#unreadable(id, 'encrypted');
    const key = this.#keyOf(rules, stored);
    if (key !== undefined) {
      try {
        return unpadJson(openEnvelope(key.recordKey(this.collection), id, stored));
      } catch {
        // The reason is looked for below, off the path that records take.
      }
    }
    if (parseEnvelope(stored) === undefined) throw this.#unreadable(id, 'truncated');
    throw this.#unreadable(id, key === undefined ? 'unknown-key' : 'tampered');
  }

  /** Nearly all records are under the key that the last one was under: its id need not be read as text. */
  #keyOf(rules: OpeningRules, stored: Buffer): VaultKey | undefined {
    const last = this.#lastKey;
    const isSame =
      last !== undefined &&
      stored.length > KEY_ID_BYTES &&
      stored.compare(last.idBytes, 0, KEY_ID_BYTES, 1, 1 + KEY_ID_BYTES) === 0;
    const id = isSame ? last.id : envelopeKeyId(stored);
    const key = id === undefined ? undefined : rules.byId(id);
    this.#lastKey = key ?? last;
    return key;
  }

  /** As {@link open}, parsed. */
  read(rules: OpeningRules, id: string, stored: Buffer): CredentialRecord {
    return this.readContent(rules, id, stored).record;
  }

  /** As {@link read}, with the JSON bytes beside. */
  readContent(
    rules: OpeningRules,
    id: string,
    stored: Buffer,
  ): { readonly record: CredentialRecord; readonly json: Buffer } {
    const json = this.open(rules, id, stored);
    const record = decodeRecord(json);
    if (record === undefined) throw this.#unreadable(id, 'not-json');
    return { record, json };
  }

  /**
   * The entries that stored bytes say they are filed under: from the clear header without
   * decrypting, or computed from plaintext. An index that is no longer defined, or changed its
   * kind, is given as both kinds, so that nothing is left behind.
   * @returns none where the bytes cannot be read so far
   */
  filedIn(stored: Buffer): FiledEntry[] {
    if (stored[0] === BRACE) {
      const record = decodeRecord(stored);
      return record === undefined ? [] : this.entries(record, undefined);
    }
    const parts = parseEnvelope(stored);
    const entries = parts === undefined ? undefined : decodeIndexEntries(parts.clearHeader);
    return (entries ?? []).flatMap(({ index, token }) => {
      const kind = Object.hasOwn(this.definition.indexes, index)
        ? this.definition.indexes[index]?.kind
        : undefined;
      if (kind !== undefined) return [{ kind, index, token }];
      return [
        { kind: 'exact' as const, index, token },
        { kind: 'unique' as const, index, token },
      ];
    });
  }

  /** Whether stored bytes say that they are filed under just these entries. */
  isFiledUnder(stored: Buffer, entries: readonly FiledEntry[]): boolean {
    // Nearly always the header is just as it would be written for them, and need not be taken apart.
    const header = parseEnvelope(stored)?.clearHeader;
    if (header?.equals(encodeIndexEntries(entries)) === true) return true;
    const filed = this.filedIn(stored);
    return filed.length === entries.length && entriesWithout(entries, filed).length === 0;
  }

  #unreadable(id: string, reason: UnreadableReason): RecordUnreadableError {
    return new RecordUnreadableError(this.collection, id, reason);
  }
}
