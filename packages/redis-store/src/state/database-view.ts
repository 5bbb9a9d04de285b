/** What collections work from: the content of a seal, with the keys that it names. */
import type { KeyRing } from '@vault/crypto';
import type { DatabaseView, StoredForm } from './database-state.js';
import type { SealContent } from './seal.js';

export function viewOf(content: SealContent, ring: KeyRing): DatabaseView {
  const { databaseId, epoch, state, keyId } = content;
  const signingKey = keyId === null ? undefined : ring.byId(keyId);
  return { databaseId, epoch, state, signingKey, ...formsOf(content, ring) };
}

/** The form in which records are written, and the one that others may still have. */
function formsOf(
  content: SealContent,
  ring: KeyRing,
): { readonly written: StoredForm; readonly before: StoredForm | undefined } {
  const { state, keyId, previousKeyId, definitions, previousDefinitions, migration } = content;
  const form = (id: typeof keyId, canonical = definitions): StoredForm => ({
    key: id === null ? undefined : ring.byId(id),
    definitions: canonical,
  });
  const plain = form(null);
  const keyed = form(keyId);
  // Until the backup is whole nothing is written in the new form: to go back then undoes nothing.
  const isRewriting = migration?.isBackedUp === true;
  switch (state) {
    case 'plaintext': {
      const isReindexing = previousDefinitions !== null;
      return { written: plain, before: isReindexing ? form(null, previousDefinitions) : undefined };
    }
    case 'rekeying':
      return { written: keyed, before: form(previousKeyId, previousDefinitions ?? definitions) };
    case 'encrypting':
      return isRewriting
        ? { written: keyed, before: plain }
        : { written: plain, before: undefined };
    case 'decrypting':
      return isRewriting
        ? { written: plain, before: keyed }
        : { written: keyed, before: undefined };
    case 'encrypted':
    case 'scrubbing':
    default:
      return { written: keyed, before: undefined };
  }
}
