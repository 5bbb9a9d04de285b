/** The states of a whole database, and the view of them that one process holds. */
import type { KeyId, VaultKey } from '@vault/crypto';

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

/**
 * What this process knows of the database: made from an authentic seal. Immutable; a reload gives a
 * new one. Every write carries the fence bytes made from it.
 */
export interface DatabaseView {
  readonly databaseId: string;
  /** Raised by whoever changes state, keys or index definitions. */
  readonly epoch: number;
  readonly state: DatabaseState;
  /** The key that writes; `undefined` in state `plaintext`. In `decrypting` it opens, and writes are plaintext. */
  readonly activeKey: VaultKey | undefined;
  /** Only in state `rekeying`: opens records and answers lookups, never writes. The same key as active when only index definitions change. */
  readonly previousKey: VaultKey | undefined;
  /** SHA-256 (base64url) of the canonical index definitions and partition counts in force. */
  readonly definitionsHash: string;
  /** Definitions that `previousKey`'s records are filed under, when they differ. */
  readonly previousDefinitionsHash: string | undefined;
}

/** Gives the current view, and a fresh one when a write or read met something the view does not explain. */
export interface ViewSource {
  current(): DatabaseView;
  /** Reads seal and key ring again; concurrent callers share one reload. @throws {DegradedError} when the seal is not one we may serve */
  reload(reason: string): Promise<DatabaseView>;
}

/** Id of the key that must open what is stored now, `undefined` in plaintext. */
export function neededKeyId(view: DatabaseView): KeyId | undefined {
  return view.activeKey?.id;
}
