/** Files, for the packages above: `@vault/crypto/files`. What `@vault/crypto` itself exports touches none. */
export {
  holdFile,
  isAbandoned,
  isTemporaryName,
  processMark,
  releaseFile,
  removeAbandonedTemporaries,
  temporaryPath,
} from './abandoned-file.js';
export { createFile, NewFile, removeFiles, replaceFile, syncFolder } from './durable-file.js';
export type { DurableFileSystem, NewFileOptions } from './durable-file.js';
export { giveToOwner, ownerToBe } from './folder-owner.js';
export type { FileOwner } from './folder-owner.js';
export { folderProblem, isTrusted } from './trusted-folder.js';
export type { FolderUser } from './trusted-folder.js';
export {
  incarnationOf,
  isGone,
  isOfThisRun,
  machineStartedMs,
  PROCESS_PLACE,
} from './process-place.js';
