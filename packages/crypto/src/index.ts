export { truncateBase64url } from './base64url.js';
export {
  blindIndexToken,
  isToken,
  joinNormalised,
  normaliseValue,
  TOKEN_BYTES,
  TOKEN_CHARACTERS,
} from './blind-index.js';
export type { Normalisation } from './blind-index.js';
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
export {
  ENVELOPE_OVERHEAD_BYTES,
  ENVELOPE_VERSION,
  envelopeKeyId,
  isEnvelope,
  NONCE_BYTES,
  openEnvelope,
  parseEnvelope,
  sealEnvelope,
  TAG_BYTES,
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
export type { IndexKey } from './index-key.js';
export { KEY_HALF_BYTES, KeyHalf } from './key-half.js';
export { isKeyId, KEY_ID_BYTES } from './key-id.js';
export type { KeyId } from './key-id.js';
export { LENGTH_PREFIX_MAX, lengthPrefixed } from './length-prefix.js';
export { assertName, isName } from './names.js';
export { padJson, unpadJson } from './padding.js';
export type { RecordKey } from './record-key.js';
export { allocateSecret } from './secret-buffer.js';
export { ENCRYPTIONS_BEFORE_ROTATION, MAC_BYTES, VaultKey } from './vault-key.js';
export type { MacPurpose } from './vault-key.js';
