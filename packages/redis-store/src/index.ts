export { acceptDatabase } from './recover/accept.js';
export type { AcceptOptions, AcceptReport } from './recover/accept.js';
export { archiveDatabase } from './recover/archive.js';
export { inspectArchive, objectionTo, restoreArchive } from './recover/restore-archive.js';
export { plaintextRecordsIn } from './files/archive-file.js';
export type { ArchiveReport } from './recover/archive.js';
export { underMigrationLock } from './recover/alone.js';
export type { ArchiveOptions } from './recover/alone.js';
export type {
  ArchivedSeal,
  ArchiveInspection,
  RestoreArchiveOptions,
  RestoreArchiveReport,
} from './recover/restore-archive.js';
export { Collection, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX } from './collections/collection.js';
export type { Page } from './collections/collection.js';
export type { Stored } from './collections/collection-reader.js';
export type { Revision } from './collections/revision.js';
export {
  canonicalDefinitions,
  checkDefinitions,
  definitionsHash,
  FIELD_TYPES,
  PARTITIONS_MAX,
  TRANSFORMS,
} from './records/collection-definition.js';
export type {
  CollectionDefinition,
  CollectionDefinitions,
  FieldDefinition,
  FieldType,
  IndexDefinition,
  TransformName,
} from './records/collection-definition.js';
export { compareWithBackup, restorableRecords } from './recover/compare-backup.js';
export type {
  BackupComparison,
  CollectionComparison,
  CompareOptions,
  RestorableRecord,
  UnrestorableRecord,
} from './recover/compare-backup.js';
export type { QueryFields } from './collections/collection-query.js';
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
} from '@vault/crypto';
export { CredentialDatabase } from './credential-database.js';
export type { ExportedRecord } from './collections/export-records.js';
export { DATA_FOLDER, isOfKind, kindOf, SECRECY } from './files/data-folder.js';
export type { DataFolderFile, DataFolderKind, Secrecy } from './files/data-folder.js';
export { DATABASE_ORIGINS, DATABASE_STATES } from './state/database-state.js';
export type { DatabaseOrigin, DatabaseState } from './state/database-state.js';
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
  OutcomeUnknownError,
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
export type { MissingHalf } from './state/halves-watch.js';
export { ImportSpool } from './import/import-spool.js';
export type { ImportReport } from './import/import.js';
export type {
  ImportPreview,
  ImportPreviewReport,
  PreviewedChange,
} from './import/import-preview.js';
export { encodeRecord } from './records/json-record.js';
export type { CredentialRecord, JsonValue } from './records/json-record.js';
export type { KeyUse } from './state/key-use.js';
export type { CondemnedUntil, DeletionOptions, DeletionReport } from './engine/key-removal.js';
export type { OperationFailure } from './engine/operation-driver.js';
export type { BackupProtection, OpenOptions, Progress } from './open-options.js';
export type { Persistence } from './redis/redis-files.js';
export { checkRecord } from './records/record-check.js';
export { RECORD_LIMITS } from './records/record-limits.js';
export { checkRedisOptions } from './redis/redis-options.js';
export type { RedisOptions, RedisTlsOptions } from './redis/redis-options.js';
export { staticCustody } from './keys/static-custody.js';
export type { DatabaseStatus, OperationStatus, HalvesStatus, ProcessStatus } from './status.js';
export type { UnderWay } from './under-way.js';
export { SILENT_LOGGER } from './store-logger.js';
export type { StoreLogger } from './store-logger.js';
export { PROBLEM_KINDS } from './audit/audit.js';
export type { Problem, ProblemKind } from './audit/audit.js';
export type { RepairReport, VerifyReport } from './audit/verify.js';
export type { RotationOptions, RotationReport } from './engine/rotation.js';
