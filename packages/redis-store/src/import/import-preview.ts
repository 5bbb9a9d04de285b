/**
 * What an import would do, without doing it: each record is checked and compared as an import does, and
 * nothing is written, to disk neither. What somebody else changes between preview and import is not in it.
 */
import { hash } from 'node:crypto';
import { normaliseValue } from '@vault/crypto';
import type { Collection } from '../collections/collection.js';
import type {
  CollectionDefinition,
  CollectionDefinitions,
} from '../records/collection-definition.js';
import { RecordUnreadableError } from '../errors.js';
import type { ImportReport } from './import.js';
import { indexedValue } from '../records/indexed-value.js';
import type { CredentialRecord } from '../records/json-record.js';
import { checkRecord } from '../records/record-check.js';

/** Compared together. */
const BATCH_RECORDS = 128;
/** Named one by one; more are only counted. */
const CHANGES_NAMED_MAX = 1000;

export interface PreviewedChange {
  readonly collection: string;
  readonly id: string;
  /** `changed`: a record with that id has other content. `removed`: it has the unique value of an imported one. */
  readonly change: 'added' | 'changed' | 'removed';
}

/** As {@link ImportReport}, and which records it would touch. */
export interface ImportPreviewReport extends ImportReport {
  /** The first 1000. */
  readonly changes: readonly PreviewedChange[];
}

interface Candidate {
  readonly collection: string;
  readonly id: string;
  readonly definition: CollectionDefinition;
  readonly record: CredentialRecord;
  readonly json: Buffer;
}

export class ImportPreview {
  readonly #definitions: CollectionDefinitions;
  readonly #collection: (name: string) => Collection;
  readonly #counts: Record<string, number> = {};
  readonly #changes: PreviewedChange[] = [];
  /** Those that the import adds or changes: what they held before is free for others. */
  readonly #written = new Set<string>();
  /** Id by unique value, of what the import adds or changes. */
  readonly #holders = new Map<string, string>();
  readonly #replaced = new Map<string, { readonly collection: string; readonly id: string }>();
  #batch: Candidate[] = [];
  #added = 0;
  #changed = 0;
  #unchanged = 0;

  constructor(definitions: CollectionDefinitions, collection: (name: string) => Collection) {
    this.#definitions = definitions;
    this.#collection = collection;
  }

  /** @throws {RecordInvalidError} for a record that an import would not take */
  async add(collection: string, id: string, record: CredentialRecord): Promise<void> {
    const { definition, json } = checkRecord(this.#definitions, collection, id, record);
    if (this.#batch[0] !== undefined && this.#batch[0].collection !== collection) {
      await this.#compare();
    }
    this.#batch.push({ collection, id, definition, record, json });
    if (this.#batch.length >= BATCH_RECORDS) await this.#compare();
  }

  async finish(): Promise<ImportPreviewReport> {
    await this.#compare();
    return {
      records: this.#added + this.#changed + this.#unchanged,
      collections: this.#counts,
      added: this.#added,
      changed: this.#changed,
      unchanged: this.#unchanged,
      replaced: [...this.#replaced.values()],
      changes: this.#changes.concat(
        [...this.#replaced.values()].map(({ collection, id }) => ({
          collection,
          id,
          change: 'removed',
        })),
      ),
    };
  }

  async #compare(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    const [first] = batch;
    if (first === undefined) return;
    const collection = this.#collection(first.collection);
    const present = await collection.getMany(batch.map(({ id }) => id));
    for (const [i, candidate] of batch.entries()) {
      const current = present[i];
      this.#counts[candidate.collection] = (this.#counts[candidate.collection] ?? 0) + 1;
      if (
        current !== undefined &&
        !(current instanceof RecordUnreadableError) &&
        Buffer.from(JSON.stringify(current.record)).equals(candidate.json)
      ) {
        this.#unchanged += 1;
        continue;
      }
      this.#note(candidate, current === undefined ? 'added' : 'changed');
      // oxlint-disable-next-line no-await-in-loop -- in the order of the file, as the import goes
      await this.#displace(collection, candidate);
    }
  }

  #note({ collection, id }: Candidate, change: 'added' | 'changed'): void {
    if (change === 'added') this.#added += 1;
    else this.#changed += 1;
    if (this.#changes.length < CHANGES_NAMED_MAX) this.#changes.push({ collection, id, change });
    const place = `${collection} ${id}`;
    this.#written.add(place);
    this.#replaced.delete(place);
  }

  /** Who holds a unique value of the candidate has to go, here or earlier in the file. */
  async #displace(collection: Collection, { id, definition, record }: Candidate): Promise<void> {
    for (const [index, { kind, fields, transform }] of Object.entries(definition.indexes)) {
      const indexDefinition = definition.indexes[index];
      if (kind !== 'unique' || indexDefinition === undefined) continue;
      const value = indexedValue(indexDefinition, record);
      if (value === undefined) continue;
      // Hashed: a whole backup has many of them, and they may be long.
      const key = `${collection.name} ${index} ${hash('sha256', value, 'base64url')}`;
      const earlier = this.#holders.get(key);
      if (earlier !== undefined && earlier !== id) this.#remove(collection.name, earlier);
      this.#holders.set(key, id);
      const query =
        transform === undefined
          ? Object.fromEntries(fields.map((field) => [field, record[field] ?? null]))
          : { [index]: normaliseValue(value) };
      // oxlint-disable-next-line no-await-in-loop -- a record has one or two such indexes
      for (const holder of await collection.find(query, { limit: 2 })) {
        const isGone = this.#written.has(`${collection.name} ${holder.id}`);
        if (holder.id !== id && !isGone) this.#remove(collection.name, holder.id);
      }
    }
  }

  #remove(collection: string, id: string): void {
    this.#replaced.set(`${collection} ${id}`, { collection, id });
  }
}
