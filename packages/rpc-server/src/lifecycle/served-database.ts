/** The database as the API serves it: its status says also what only the server knows. */
import type {
  CredentialDatabase,
  DatabaseStatus,
  DeletionOptions,
  DeletionReport,
  RotationOptions,
  RotationReport,
} from '@vault/redis-store';
import type { Database, DatabaseProgress } from '../rpc/database-port.js';

/** Adds fields to the status: JSON, no secret in it. */
export type StatusNote = (status: DatabaseStatus) => object | Promise<object>;

export class ServedDatabase implements Database {
  readonly #database: CredentialDatabase;
  readonly #notes: readonly StatusNote[];
  readonly #onRotated: (activeKeyId: string) => void;

  /** @param onRotated told after each rotation that was asked for here */
  constructor(
    database: CredentialDatabase,
    notes: readonly StatusNote[],
    onRotated: (activeKeyId: string) => void = () => undefined,
  ) {
    this.#onRotated = onRotated;
    this.#database = database;
    this.#notes = notes;
  }

  get databaseId(): string {
    return this.#database.databaseId;
  }
  checkRedis(): Promise<void> {
    return this.#database.checkRedis();
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
  async rotateKey(options?: RotationOptions): Promise<RotationReport> {
    const report = await this.#database.rotateKey(options);
    this.#onRotated(report.activeKeyId);
    return report;
  }
  get operationFailed(): Database['operationFailed'] {
    return this.#database.operationFailed;
  }
  retryOperation(): ReturnType<CredentialDatabase['retryOperation']> {
    return this.#database.retryOperation();
  }
  keyUse(): ReturnType<CredentialDatabase['keyUse']> {
    return this.#database.keyUse();
  }
  checkHalves(): Promise<void> {
    return this.#database.checkHalves();
  }
  get missingHalves(): CredentialDatabase['missingHalves'] {
    return this.#database.missingHalves;
  }
  get inactiveKeyIds(): readonly string[] {
    return this.#database.inactiveKeyIds;
  }
  deleteInactiveKeys(options?: DeletionOptions): Promise<DeletionReport> {
    return this.#database.deleteInactiveKeys(options);
  }
  putBackKeys(): Promise<readonly string[]> {
    return this.#database.putBackKeys();
  }
  get isBootstrapped(): boolean {
    return this.#database.isBootstrapped;
  }
  markBootstrapped(): Promise<void> {
    return this.#database.markBootstrapped();
  }
}
