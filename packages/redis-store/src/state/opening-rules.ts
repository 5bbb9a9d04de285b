import type { DatabaseView } from './database-state.js';
import type { OpeningRules } from '../records/record-codec.js';

/** What may be read under a view: an inactive key opens only while a rekey runs. */
export function openingRules(view: DatabaseView): OpeningRules {
  const isMixed = view.state === 'encrypting' || view.state === 'decrypting';
  return {
    mayBePlaintext: isMixed || view.state === 'plaintext',
    mayBeEnvelope: view.state !== 'plaintext',
    byId: (id) => {
      if (view.activeKey?.id === id) return view.activeKey;
      return view.previousKey?.id === id ? view.previousKey : undefined;
    },
  };
}
