/** Records that a backup cannot give, or that an import does not take: which, and why. */

/** Names and a reason; never a value. */
export interface RefusedRecord {
  readonly collection: string;
  /** `#3` for the third of its collection in a file, where it has no id that can be shown. */
  readonly id: string;
  readonly reason: string;
}

/** Named one by one; more are only counted: a file is not believed to hold few. */
const NAMED_MAX = 100;
const NAME_CHARACTERS_MAX = 128;

export class RefusedRecords {
  #count = 0;
  readonly #named: RefusedRecord[] = [];

  add(record: RefusedRecord): void {
    this.#count += 1;
    if (this.#named.length < NAMED_MAX) this.#named.push(record);
  }

  get count(): number {
    return this.#count;
  }

  /** The first 100. */
  get named(): readonly RefusedRecord[] {
    return this.#named;
  }

  /** One clause a record, for messages. */
  get text(): string {
    return namesOf(this.#count, this.#named);
  }
}

/** @param count of all, of which `named` are the first */
export function namesOf(count: number, named: readonly RefusedRecord[]): string {
  const clauses = named.map(({ collection, id, reason }) => `${collection} ${id} (${reason})`);
  const more = count - named.length;
  return more > 0 ? `${clauses.join('; ')}; and ${more} more` : clauses.join('; ');
}

/** A name out of a file, fit for a message and a terminal. */
export function shownName(name: string): string {
  return name.slice(0, NAME_CHARACTERS_MAX).replaceAll(/[^A-Za-z0-9_.-]/g, '?');
}
