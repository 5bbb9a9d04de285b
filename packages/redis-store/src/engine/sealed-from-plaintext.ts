/** The first signed seal of *encrypt*, field by field: nobody signed the plaintext one before it. */
import type { KeyId } from '@vault/crypto';
import { canonicalDefinitions } from '../records/collection-definition.js';
import type { CollectionDefinitions } from '../records/collection-definition.js';
import { canonicalFields } from '../records/field-definitions.js';
import { SEAL_LAYOUT } from '../state/seal.js';
import type { SealContent, SealedMigration } from '../state/seal.js';
import type { WitnessedState } from '../state/witness.js';
import { manifestPathOf } from './backup.js';

/** Where the fields come from. */
export interface PlaintextSources {
  /** Of the plaintext seal, what this machine knows or a key signed. */
  readonly belief: WitnessedState;
  /** Keys whose removal was begun. */
  readonly removing: readonly KeyId[];
  /** Of earlier migrations, signed and proven: see `proven-backups.ts`. */
  readonly files: readonly string[];
  /** Of this configuration. */
  readonly collections: CollectionDefinitions;
  /** How many there are. */
  readonly records: number;
  readonly keyId: KeyId;
  readonly migration: SealedMigration;
  readonly nowMs: number;
}

/** Everything but the epoch, which each change raises: that of an unsigned seal is bounded by the witness. */
export function sealedFromPlaintext(from: PlaintextSources): Omit<SealContent, 'epoch'> {
  const { belief, removing, files, collections, records, keyId, migration, nowMs } = from;
  const { inactiveKeyIds = [], pendingKeyId = null } = belief;
  const unneeded = [...inactiveKeyIds, ...removing, pendingKeyId].filter((id) => id !== null);
  return {
    v: SEAL_LAYOUT,
    databaseId: belief.databaseId,
    state: 'encrypting',
    keyId,
    previousKeyId: null,
    // The key of a rotation that did not come to its end is under no record; left pending, the next
    // rotation would take it for new.
    pendingKeyId: null,
    inactiveKeyIds: [...new Set(unneeded)].filter((id) => id !== keyId),
    activeSinceMs: nowMs,
    // Records are filed so before: see `start.ts`.
    definitions: canonicalDefinitions(collections),
    previousDefinitions: null,
    // Whether every record fits is looked at once it is encrypted.
    fields: records === 0 ? canonicalFields(collections) : null,
    migration,
    importing: null,
    files: [...new Set([...files, migration.backup, manifestPathOf(migration.backup)])],
    retired: null,
    // A server makes its first user before it serves. Taken for missing, its password would be replaced.
    bootstrapped: records > 0,
    origin: belief.origin,
    pinned: false,
  };
}
