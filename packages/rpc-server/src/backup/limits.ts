/** What a backup file may hold beside records, whose limits are `RECORD_LIMITS` of the store. A file beyond one of these is refused before anything is changed. */
import { RECORD_LIMITS } from '@vault/redis-store';

export const BACKUP_LIMITS = {
  /** Longest text of one record with its id: twice what a record has, for a file with other spacing. */
  recordTextBytes: 2 * RECORD_LIMITS.bytes,
  /** Most records of a backup: ten times what has been tried. */
  records: 10_000_000,
  /** Largest document after decryption and inflation, 16 GiB: what {@link records} of ordinary size take. */
  documentBytes: 16 * 1024 ** 3,
  /** Compression or encryption inside each other: gzip in OpenPGP, and one more for files that were wrapped by hand. */
  layers: 3,
  /** Passphrases or keys that a message was encrypted for: each costs a key derivation to try. */
  openPgpRecipients: 8,
  /** Memory of an Argon2 derivation that a file may ask for: 2^16 KiB, 64 MiB. */
  argon2MemoryExponent: 16,
} as const;

/** Shortest passphrase that protects a backup, in characters. */
export const PASSPHRASE_CHARACTERS_MIN = 12;
