/** What collections work from: the content of a seal, with the keys that it names. */
import type { KeyRing } from '../keys/custody.js';
import type { DatabaseView } from './database-state.js';
import type { SealContent } from './seal.js';
import { hashOfCanonical } from '../partitions/sealed-definitions.js';

export function viewOf(content: SealContent, ring: KeyRing): DatabaseView {
  const { databaseId, epoch, state, keyId, previousKeyId, previousDefinitions } = content;
  return {
    databaseId,
    epoch,
    state,
    activeKey: keyId === null ? undefined : ring.byId(keyId),
    previousKey: previousKeyId === null ? undefined : ring.byId(previousKeyId),
    definitionsHash: hashOfCanonical(content.definitions),
    previousDefinitionsHash:
      previousDefinitions === null ? undefined : hashOfCanonical(previousDefinitions),
  };
}
