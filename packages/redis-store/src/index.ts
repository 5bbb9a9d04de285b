export { acceptDatabase } from './accept.js';
export type { AcceptOptions, AcceptReport } from './accept.js';
export { archiveDatabase, restoreArchive } from './archive.js';
export { plaintextRecordsIn } from './archive-file.js';
export type { ArchiveOptions, ArchiveReport, RestoreArchiveReport } from './archive.js';
export { Collection, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX } from './collection.js';
export type { Page } from './collection.js';
export type { Revision, Stored } from './collection-reader.js';
export {
  canonicalDefinitions,
  checkDefinitions,
  definitionsHash,
  FIELD_TYPES,
  PARTITIONS_MAX,
  TRANSFORMS,
} from './collection-definition.js';
export type {
  CollectionDefinition,
  CollectionDefinitions,
  FieldDefinition,
  FieldType,
  IndexDefinition,
  TransformName,
} from './collection-definition.js';
export { compareWithBackup, restorableRecords } from './compare-backup.js';
export type {
  BackupComparison,
  CollectionComparison,
  CompareOptions,
  RestorableRecord,
  UnrestorableRecord,
} from './compare-backup.js';
export type { QueryFields } from './collection-query.js';
export type {
  AppendOptions,
  CondemnedKey,
  CustodyReport,
  HalfReport,
  HalvesState,
  KeyCustody,
  KeyPlace,
  KeyRing,
  NamedKeys,
  Remnant,
  RemoveOptions,
} from './custody.js';
export { CredentialDatabase } from './credential-database.js';
export type { ExportedRecord } from './export-records.js';
export { DATABASE_ORIGINS, DATABASE_STATES } from './database-state.js';
export type { DatabaseOrigin, DatabaseState } from './database-state.js';
export {
  DEGRADED_MESSAGES,
  DegradedError,
  OperationRefusedError,
  QueryInvalidError,
  RecordExistsError,
  RecordInvalidError,
  RecordNotFoundError,
  RecordUnreadableError,
  RedisRefusedError,
  RedisUnavailableError,
  RevisionConflictError,
  STORE_ERRORS,
  StateStaleError,
  StoreError,
  UniqueConflictError,
  UNREADABLE_REASONS,
} from './errors.js';
export type {
  DegradedDetails,
  DegradedReason,
  StoreErrorCode,
  UnreadableReason,
} from './errors.js';
export type { MissingHalf } from './halves-watch.js';
export { ImportSpool } from './import-spool.js';
export type { ImportReport } from './import.js';
export type { ImportPreview, ImportPreviewReport, PreviewedChange } from './import-preview.js';
export { encodeRecord } from './json-record.js';
export type { CredentialRecord, JsonValue } from './json-record.js';
export type { KeyUse } from './key-use.js';
export type { CondemnedUntil, DeletionOptions, DeletionReport } from './migration/key-removal.js';
export type { BackupProtection, Progress } from './migration/migration-context.js';
export type { OpenOptions } from './open-options.js';
export type { Persistence } from './redis-files.js';
export { checkRecord } from './record-check.js';
export { RECORD_LIMITS } from './record-limits.js';
export { checkRedisOptions } from './redis-options.js';
export type { RedisOptions, RedisTlsOptions } from './redis-options.js';
export { staticCustody } from './static-custody.js';
export type { DatabaseStatus, HalvesStatus, ProcessStatus } from './status.js';
export { SILENT_LOGGER } from './store-logger.js';
export type { StoreLogger } from './store-logger.js';
export { PROBLEM_KINDS } from './audit.js';
export type { Problem, ProblemKind } from './audit.js';
export type { RepairReport, VerifyReport } from './verify.js';
export type { RotationOptions, RotationReport } from './rotation.js';
