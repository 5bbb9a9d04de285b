export {
  blindIndexToken,
  joinNormalised,
  normaliseValue,
  TOKEN_BYTES,
  TOKEN_CHARACTERS,
} from './blind-index.js';
export type { Normalisation } from './blind-index.js';
export {
  ENVELOPE_OVERHEAD_BYTES,
  ENVELOPE_VERSION,
  envelopeKeyId,
  isEnvelope,
  NONCE_BYTES,
  openEnvelope,
  padJson,
  parseEnvelope,
  sealEnvelope,
  TAG_BYTES,
  unpadJson,
} from './envelope.js';
export type { EnvelopeParts } from './envelope.js';
export {
  CryptoError,
  EnvelopeNotOpenedError,
  KeyDestroyedError,
  KeyHalfInvalidError,
} from './errors.js';
export type { CryptoErrorCode } from './errors.js';
export { decodeIndexEntries, encodeIndexEntries } from './index-entries.js';
export type { IndexEntry } from './index-entries.js';
export { KEY_HALF_BYTES, KeyHalf } from './key-half.js';
export { LENGTH_PREFIX_MAX, lengthPrefixed } from './length-prefix.js';
export { assertName, isName } from './names.js';
export {
  ENCRYPTIONS_BEFORE_ROTATION,
  isKeyId,
  KEY_ID_BYTES,
  MAC_BYTES,
  VaultKey,
} from './vault-key.js';
export type { IndexKey, KeyId, MacPurpose, RecordKey } from './vault-key.js';
