/** The states of a whole database, and the view of them that one process holds. */
import type { VaultKey } from '@vault/crypto';

export const DATABASE_STATES = [
  'plaintext',
  'encrypting',
  'scrubbing',
  'encrypted',
  'rekeying',
  'decrypting',
] as const;
export type DatabaseState = (typeof DATABASE_STATES)[number];

/** How a database came to be: encrypted from its first start, or plaintext with us before. */
export const DATABASE_ORIGINS = ['made-encrypted', 'switched-on'] as const;
export type DatabaseOrigin = (typeof DATABASE_ORIGINS)[number];

/** How records are stored. */
export interface StoredForm {
  /** Key that they are under; `undefined`: plaintext. */
  readonly key: VaultKey | undefined;
  /** What they are filed under, as `canonicalDefinitions` writes it. */
  readonly definitions: string;
}

/**
 * What this process knows of the database: made from an authentic seal. Immutable; a reload gives a
 * new one. Every write carries the fence bytes made from it.
 */
export interface DatabaseView {
  readonly databaseId: string;
  /** Raised by whoever changes state, keys or index definitions. */
  readonly epoch: number;
  readonly state: DatabaseState;
  /** Signs seal and fences; `undefined` in state `plaintext`. */
  readonly signingKey: VaultKey | undefined;
  /** The form in which records are written. */
  readonly written: StoredForm;
  /** While every record is rewritten: the form of those that were not reached yet. They are read, never written so. */
  readonly before: StoredForm | undefined;
}

/** Gives the current view, and a fresh one when a write or read met something the view does not explain. */
export interface ViewSource {
  current(): DatabaseView;
  /** Whether the seal in Redis is still the one of a view. @throws {DegradedError} when it is none that may come after it */
  stands(view: DatabaseView): Promise<boolean>;
  /** Reads seal and key ring again; concurrent callers share one reload. @throws {DegradedError} when the seal is not one we may serve */
  reload(reason: string): Promise<DatabaseView>;
}
