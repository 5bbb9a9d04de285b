/**
 * What a record was when it was read: handed back, it makes a write conditional. Compared by content, so that a rewriting of
 * the whole database (another key, encrypted or not, other indexes) breaks none.
 */
export class Revision {
  readonly #stored: Buffer;
  readonly #content: Buffer;

  /** @param stored as it stood in Redis; @param content the JSON that it held */
  constructor(stored: Buffer, content: Buffer) {
    this.#stored = stored;
    this.#content = content;
  }

  /** The bytes that stood in Redis. */
  get stored(): Buffer {
    return this.#stored;
  }

  /** Whether both are of the same content, in whatever form it is stored. */
  isSame(other: Revision): boolean {
    return this.#stored.equals(other.#stored) || this.#content.equals(other.#content);
  }
}
