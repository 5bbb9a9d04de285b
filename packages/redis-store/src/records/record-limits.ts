/**
 * What one record may hold. Writes, imports and exports ask the same validator (`json-record.ts`), so
 * whatever is stored comes back from a backup; faces of a server take their own limits from here.
 */
export const RECORD_LIMITS = {
  /** Bytes as JSON without spaces, UTF-8, the id not counted. A record is written in one script call, which Redis does nothing beside. */
  bytes: 1024 * 1024,
  /** Objects and arrays inside each other in one field: no credential is so nested, and a parser that recurses would suffer. */
  depth: 32,
  /**
   * Values in all fields together: each text, number, truth value, `null`, object and array counts one.
   * Parsing that many members of different names takes about 50 ms, which nobody else is served in.
   */
  values: 16_384,
  /** Bytes of one field of a compound index, normalised: its length is written in two bytes. */
  compoundFieldBytes: 65_535,
} as const;
