/** Proof that a pair of halves opens the database: it is opened with nothing else, and a record is read. */
import {
  CredentialDatabase,
  DegradedError,
  SILENT_LOGGER,
  staticCustody,
} from '@vault/redis-store';
import type { OpenOptions } from '@vault/redis-store';
import type { HalfPair } from '@vault/keystore';
import { RecoveryKitError } from './errors.js';

/** What was opened. */
export interface PairProof {
  readonly databaseId: string;
  /** Collection and id of the record; `undefined` when there is none yet: then the seal alone was proven. */
  readonly record: { readonly collection: string; readonly id: string } | undefined;
}

/**
 * @param options of the database; their custody is not used
 * @throws {RecoveryKitError} when the pair does not open it
 */
export async function provePair(pair: HalfPair, options: OpenOptions): Promise<PairProof> {
  const database = await openWith(pair, options);
  try {
    const { databaseId, activeKeyId } = await database.status();
    if (activeKeyId !== pair.keyId) {
      throw new RecoveryKitError(
        'KIT_UNPROVEN',
        `the pair is of key ${pair.keyId}, the database is under ${activeKeyId ?? 'no key'}`,
      );
    }
    const unreadable: string[] = [];
    const records = database.exportRecords(undefined, ({ id }) => unreadable.push(id));
    for await (const { collection, id } of records) {
      return { databaseId, record: { collection, id } };
    }
    if (unreadable.length === 0) return { databaseId, record: undefined };
    throw new RecoveryKitError(
      'KIT_UNPROVEN',
      'not one record can be read: run vault-server verify',
    );
  } finally {
    await database.close();
  }
}

async function openWith(
  { keyId, halfA, halfB }: HalfPair,
  options: OpenOptions,
): Promise<CredentialDatabase> {
  try {
    return await CredentialDatabase.open({
      ...options,
      role: 'tool',
      logger: SILENT_LOGGER,
      custody: staticCustody([halfA, halfB]),
    });
  } catch (error) {
    if (!(error instanceof DegradedError)) throw error;
    const { cause, neededKeyId } = error.details;
    const why =
      neededKeyId === undefined || neededKeyId === keyId
        ? (cause ?? error.message)
        : `the database needs key ${neededKeyId}`;
    throw new RecoveryKitError(
      'KIT_UNPROVEN',
      `key ${keyId} alone does not open the database: ${why}`,
    );
  }
}
