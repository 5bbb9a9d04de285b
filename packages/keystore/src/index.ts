export { createHalfSource } from './create-half-source.js';
export { checkCustody } from './custody-check.js';
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
export { defaultPair } from './default-pair.js';
export type { DefaultPair } from './default-pair.js';
export { KEYSTORE_ERRORS, KeystoreError } from './errors.js';
export type { KeystoreErrorCode } from './errors.js';
export { destroyLines, HALF_SOURCE_NAMES } from './half-source.js';
export type {
  Artefact,
  CorruptCopy,
  HalfLine,
  HalfReading,
  HalfSource,
  HalfSourceName,
  KeptCopy,
  LabelledHalf,
  LineRemoval,
  WriteGuard,
} from './half-source.js';
export { KEY_PLACE_KINDS } from './inventory.js';
export type { KeyPlaceKind } from './inventory.js';
export { formatHalfValue, HALF_VALUE_MAX_BYTES, parseHalfValue } from './half-value.js';
export type { ParsedValue, ParseOptions } from './half-value.js';
export { SOURCE_TABLE } from './source-table.js';
export type {
  HalfSourceConfig,
  SourceConfigs,
  SourceEnvironment,
  SourceRow,
} from './source-table.js';
export { SplitKeystore } from './split-keystore.js';
export type { HalfPair, SplitKeystoreOptions } from './split-keystore.js';
