import type { DatabaseView } from './database-state.js';
import type { OpeningRules } from '../records/record-codec.js';

/** What may be read under a view: the form in which records are written, and while all are rewritten that of before. */
export function openingRules({ written, before }: DatabaseView): OpeningRules {
  const forms = before === undefined ? [written] : [written, before];
  return {
    mayBePlaintext: forms.some(({ key }) => key === undefined),
    mayBeEnvelope: forms.some(({ key }) => key !== undefined),
    byId: (id) => forms.find(({ key }) => key?.id === id)?.key,
  };
}
