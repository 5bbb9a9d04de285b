/**
 * A query: which index is asked, and how a record is compared with all of it. What depends only on
 * which fields are asked for is planned once ({@link QueryPlanner}), since callers ask the same again.
 */
import { normaliseValue } from '@vault/crypto';
import type { CollectionDefinition, IndexDefinition } from '../records/collection-definition.js';
import { QueryInvalidError } from '../errors.js';
import type { FiledEntry } from '../records/filed-entry.js';
import { indexedValue, queriedValue } from '../records/indexed-value.js';
import { isSameJson } from '../records/json-record.js';
import type { CredentialRecord, JsonValue } from '../records/json-record.js';

/** Field, or name of an index with a transform, → value. */
export type QueryFields = { readonly [name: string]: JsonValue };

/** The index that a query asks. */
export interface ChosenIndex {
  readonly index: string;
  readonly kind: FiledEntry['kind'];
  readonly value: string | Buffer;
}

/** Compares one field of a record with what was asked for. */
type Comparison = (record: CredentialRecord) => boolean;

interface PlannedIndex {
  readonly index: string;
  readonly definition: IndexDefinition;
  /** Names in the query, in the order of the index. */
  readonly names: readonly string[];
}

interface Plan {
  readonly index: PlannedIndex | undefined;
  /** One a name: takes the value that is asked for, once a query. */
  readonly comparisons: readonly {
    readonly name: string;
    readonly prepare: (wanted: JsonValue) => Comparison;
  }[];
}

/** Queries of more different shapes than this are not what a program asks. */
const PLANS_MAX = 256;

/** A unique index comes before any other; then one of more fields: the fewest records are read. */
function rank({ kind, fields }: IndexDefinition): number {
  return (kind === 'unique' ? 1000 : 0) + fields.length;
}

function isIndexable(value: JsonValue | undefined): boolean {
  return value !== undefined && value !== null && typeof value !== 'object';
}

export class QueryPlanner {
  readonly #collection: string;
  readonly #definition: CollectionDefinition;
  readonly #plans = new Map<string, Plan>();

  constructor(collection: string, definition: CollectionDefinition) {
    this.#collection = collection;
    this.#definition = definition;
  }

  /** @throws {QueryInvalidError} for an unknown field, or a secret one */
  parse(query: QueryFields): RecordQuery {
    const names = Object.keys(query);
    const shape = names.map((name) => (isIndexable(query[name]) ? name : `${name}*`)).join(' ');
    let plan = this.#plans.get(shape);
    if (plan === undefined) {
      plan = this.#plan(query, names);
      if (this.#plans.size >= PLANS_MAX) this.#plans.clear();
      this.#plans.set(shape, plan);
    }
    return new RecordQuery(plan, query);
  }

  #plan(query: QueryFields, names: readonly string[]): Plan {
    return {
      comparisons: names.map((name) => ({ name, prepare: this.#comparison(name) })),
      index: this.#chooseIndex(query),
    };
  }

  #comparison(name: string): (wanted: JsonValue) => Comparison {
    const transform = this.#transformIndex(name);
    if (transform !== undefined) {
      return (wanted) => {
        const value = queriedValue(transform, [wanted]);
        return (record) => indexedValue(transform, record) === value;
      };
    }
    const type = this.#fieldType(name);
    const normalisation = this.#normalisationOf(name);
    return (wanted) => {
      if (wanted === null) return (record) => (record[name] ?? null) === null;
      if (type === 'json') return (record) => isSameJson(record[name], wanted);
      const value = normaliseValue(wanted, normalisation);
      return (record) => {
        const own = record[name] ?? null;
        return own !== null && normaliseValue(own, normalisation) === value;
      };
    };
  }

  #chooseIndex(query: QueryFields): PlannedIndex | undefined {
    const [best] = Object.entries(this.#definition.indexes)
      .map(([index, definition]) => {
        const names = definition.transform === undefined ? definition.fields : [index];
        return { index, definition, names };
      })
      .filter(({ names }) => names.every((name) => isIndexable(query[name])))
      .toSorted((a, b) => rank(b.definition) - rank(a.definition));
    return best;
  }

  /** How the index of this field alone compares, so that a field compares in one way. */
  #normalisationOf(field: string): IndexDefinition['normalisation'] {
    return Object.values(this.#definition.indexes).find(
      ({ fields, transform }) =>
        fields.length === 1 && fields[0] === field && transform === undefined,
    )?.normalisation;
  }

  #transformIndex(name: string): IndexDefinition | undefined {
    const { fields, indexes } = this.#definition;
    if (Object.hasOwn(fields, name) || !Object.hasOwn(indexes, name)) return undefined;
    return indexes[name]?.transform === undefined ? undefined : indexes[name];
  }

  #fieldType(name: string): string {
    const { fields } = this.#definition;
    const type = Object.hasOwn(fields, name) ? fields[name]?.type : undefined;
    if (type === undefined) {
      throw new QueryInvalidError(this.#collection, `there is no field "${name}" to search by`);
    }
    if (type === 'secret') {
      throw new QueryInvalidError(this.#collection, `"${name}" is secret, and not searched by`);
    }
    return type;
  }
}

export class RecordQuery {
  readonly index: ChosenIndex | undefined;
  readonly #planned: PlannedIndex | undefined;
  readonly #comparisons: readonly Comparison[];

  constructor({ index: planned, comparisons }: Plan, query: QueryFields) {
    this.#planned = planned;
    this.#comparisons = comparisons.map(({ name, prepare }) => prepare(query[name] ?? null));
    if (planned !== undefined) {
      const { index, definition, names } = planned;
      const value = queriedValue(
        definition,
        names.map((name) => query[name] ?? null),
      );
      this.index = { index, kind: definition.kind, value };
    }
  }

  /** Whether the record has all values that were asked for. */
  matches(record: CredentialRecord): boolean {
    return this.#comparisons.every((compare) => compare(record));
  }

  /** Whether the record has the value under which the index was asked. */
  matchesIndex(record: CredentialRecord): boolean {
    if (this.#planned === undefined || this.index === undefined) return true;
    const value = indexedValue(this.#planned.definition, record);
    return value !== undefined && String(value) === String(this.index.value);
  }
}
