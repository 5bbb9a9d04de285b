/** What a backup may hold. A file beyond one of these is refused before anything is changed. */
export const BACKUP_LIMITS = {
  /** Largest record as JSON text: a little over what the store takes, for text with other spacing. */
  recordBytes: 2 * 1024 * 1024,
  /** Deepest nesting inside a record; the store refuses more than this too. */
  depth: 32,
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
