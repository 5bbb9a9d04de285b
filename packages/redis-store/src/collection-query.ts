/** A query: which index is asked, and how a record is compared with all of it. */
import { normaliseValue } from '@vault/crypto';
import type { CollectionDefinition, IndexDefinition } from './collection-definition.js';
import { QueryInvalidError } from './errors.js';
import type { FiledEntry } from './filed-entry.js';
import { isSameJson } from './json-record.js';
import type { CredentialRecord, JsonValue } from './json-record.js';
import { indexedValue, queriedValue } from './record-codec.js';

/** A unique index comes before any other. */
function rank({ kind, fields }: IndexDefinition): number {
  return (kind === 'unique' ? 1000 : 0) + fields.length;
}

/** Field, or name of an index with a transform, → value. */
export type QueryFields = { readonly [name: string]: JsonValue };

/** The index that a query asks. */
export interface ChosenIndex {
  readonly index: string;
  readonly kind: FiledEntry['kind'];
  readonly value: string | Buffer;
}

export class RecordQuery {
  readonly index: ChosenIndex | undefined;
  readonly #collection: string;
  readonly #definition: CollectionDefinition;
  readonly #query: QueryFields;

  /** @throws {QueryInvalidError} */
  constructor(collection: string, definition: CollectionDefinition, query: QueryFields) {
    this.#collection = collection;
    this.#definition = definition;
    this.#query = query;
    for (const name of Object.keys(query)) this.#check(name);
    this.index = this.#chooseIndex();
  }

  /** Whether the record has all values that were asked for. */
  matches(record: CredentialRecord): boolean {
    return Object.entries(this.#query).every(([name, value]) =>
      this.#matchesOne(record, name, value),
    );
  }

  /** Whether the record has the value under which the index was asked. */
  matchesIndex(record: CredentialRecord): boolean {
    if (this.index === undefined) return true;
    const definition = this.#definition.indexes[this.index.index];
    const value = definition === undefined ? undefined : indexedValue(definition, record);
    return value !== undefined && String(value) === String(this.index.value);
  }

  #matchesOne(record: CredentialRecord, name: string, value: JsonValue): boolean {
    const transform = this.#transformIndex(name);
    if (transform !== undefined) {
      const own = indexedValue(transform, record);
      return own !== undefined && own === queriedValue(transform, [value]);
    }
    const own = record[name];
    if (own === undefined || own === null || value === null) return (own ?? null) === value;
    if (this.#definition.fields[name]?.type === 'json') return isSameJson(own, value);
    const normalisation = this.#singleIndex(name)?.[1].normalisation;
    return normaliseValue(own, normalisation) === normaliseValue(value, normalisation);
  }

  /** Unique indexes first, then those of the most fields: the fewest records are read. */
  #chooseIndex(): ChosenIndex | undefined {
    const usable = Object.entries(this.#definition.indexes).filter(([index, definition]) =>
      this.#isUsable(index, definition),
    );
    const best = usable.toSorted(([, a], [, b]) => rank(b) - rank(a))[0];
    if (best === undefined) return undefined;
    const [index, definition] = best;
    const names = definition.transform === undefined ? definition.fields : [index];
    return {
      index,
      kind: definition.kind,
      value: queriedValue(
        definition,
        names.map((name) => this.#query[name] ?? null),
      ),
    };
  }

  #isUsable(index: string, { fields, transform }: IndexDefinition): boolean {
    const names = transform === undefined ? fields : [index];
    return names.every(
      (name) =>
        this.#query[name] !== undefined &&
        this.#query[name] !== null &&
        typeof this.#query[name] !== 'object',
    );
  }

  #singleIndex(field: string): readonly [string, IndexDefinition] | undefined {
    return Object.entries(this.#definition.indexes).find(
      ([, { fields, transform }]) =>
        fields.length === 1 && fields[0] === field && transform === undefined,
    );
  }

  #transformIndex(name: string): IndexDefinition | undefined {
    if (
      Object.hasOwn(this.#definition.fields, name) ||
      !Object.hasOwn(this.#definition.indexes, name)
    )
      return undefined;
    const definition = this.#definition.indexes[name];
    return definition?.transform === undefined ? undefined : definition;
  }

  #check(name: string): void {
    if (this.#transformIndex(name) !== undefined) return;
    const field = Object.hasOwn(this.#definition.fields, name)
      ? this.#definition.fields[name]
      : undefined;
    if (field === undefined)
      throw new QueryInvalidError(this.#collection, `there is no field "${name}" to search by`);
    if (field.type === 'secret')
      throw new QueryInvalidError(this.#collection, `"${name}" is secret, and not searched by`);
  }
}
