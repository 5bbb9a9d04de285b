/** A migration cannot go on. The message is one sentence for an operator, and holds no stored value. */
export class MigrationError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MigrationError';
  }
}

/** Records that have one value in an index that was made unique. */
export class UniqueContradictionError extends MigrationError {
  /** What an operator does about it while the database is served. */
  readonly advice: string;
  /** The same while it is not. */
  readonly degradedAdvice: string;
  constructor(pairs: readonly string[], collection: string, index: string) {
    super(
      `${collection}: ${counted(pairs.length)} the value of another in the unique index "${index}": ${listNames(pairs)}`,
    );
    this.name = 'UniqueContradictionError';
    const back = `put the index "${index}" of [collections.${collection}] back to what it was, and restart`;
    this.advice = `change or remove one of each two, or ${back}; the rewriting is tried again by itself, and at once by vault-cli encryption.retry`;
    this.degradedAdvice = `${back}: what was begun goes on then; make it unique once no two records have one value`;
  }
}

function counted(records: number): string {
  return records === 1 ? '1 record has' : `${records} records have`;
}

/** Names in a message, not more than a reader takes in. */
const NAMES_SHOWN = 10;

/** `a, b, c and 5 more` */
export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN).join(', ');
  return names.length > NAMES_SHOWN ? `${shown} and ${names.length - NAMES_SHOWN} more` : shown;
}
