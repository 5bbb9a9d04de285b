export { createHalfSource } from './create-half-source.js';
export { checkCustody } from './custody-check.js';
export type { CustodyReport, HalfReport, HalvesState, KeyCustody, KeyRing } from './custody.js';
export { defaultPair } from './default-pair.js';
export type { DefaultPair } from './default-pair.js';
export { KEYSTORE_ERRORS, KeystoreError } from './errors.js';
export type { KeystoreErrorCode } from './errors.js';
export { destroyLines, HALF_SOURCE_NAMES } from './half-source.js';
export type {
  Artefact,
  HalfLine,
  HalfReading,
  HalfSource,
  HalfSourceName,
  LabelledHalf,
  LineRemoval,
} from './half-source.js';
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
