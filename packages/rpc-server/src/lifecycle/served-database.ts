/** The database as the API serves it: its status says also what only the server knows. */
import type { CredentialDatabase, DatabaseStatus } from '@vault/redis-store';
import type { Database, DatabaseProgress } from '../rpc/database-port.js';

/** Adds fields to the status: JSON, no secret in it. */
export type StatusNote = (status: DatabaseStatus) => object | Promise<object>;

export class ServedDatabase implements Database {
  readonly #database: CredentialDatabase;
  readonly #notes: readonly StatusNote[];

  constructor(database: CredentialDatabase, notes: readonly StatusNote[]) {
    this.#database = database;
    this.#notes = notes;
  }

  get collections(): readonly string[] {
    return this.#database.collections;
  }
  collection(name: string): ReturnType<CredentialDatabase['collection']> {
    return this.#database.collection(name);
  }

  async status(): Promise<object> {
    const status = await this.#database.status();
    const noted = await Promise.all(this.#notes.map(async (note) => note(status)));
    return Object.assign({}, status, ...noted) as object;
  }

  verify(
    options: { readonly onProgress?: (progress: DatabaseProgress) => void } = {},
  ): Promise<object> {
    return this.#database.verify(options);
  }
  rotateKey(): ReturnType<CredentialDatabase['rotateKey']> {
    return this.#database.rotateKey();
  }
  get inactiveKeyIds(): readonly string[] {
    return this.#database.inactiveKeyIds;
  }
  deleteInactiveKeys(): Promise<readonly string[]> {
    return this.#database.deleteInactiveKeys();
  }
  get isBootstrapped(): boolean {
    return this.#database.isBootstrapped;
  }
  markBootstrapped(): Promise<void> {
    return this.#database.markBootstrapped();
  }
}
