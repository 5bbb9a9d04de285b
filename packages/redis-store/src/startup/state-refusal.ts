/** What a process that serves makes of a seal that another one changed. */
import { canonicalDefinitions, isWithin } from '../records/collection-definition.js';
import { DegradedError } from '../errors.js';
import { areFieldsWithin, canonicalFields } from '../records/field-definitions.js';
import type { OpenOptions } from '../open-options.js';
import type { SealContent } from '../state/seal.js';
import type { WitnessContent } from '../state/witness.js';
import { decryptedElsewhere } from './decrypted-elsewhere.js';

/** Collections of this process that another one changed: this one would look in the wrong places, or write what does not fit. */
export function definitionsRefusal(
  content: SealContent,
  options: OpenOptions,
): DegradedError | undefined {
  const { collections } = options;
  const isOurs =
    isWithin(canonicalDefinitions(collections), content.definitions) &&
    areFieldsWithin(canonicalFields(collections), content.fields);
  if (isOurs) return undefined;
  return new DegradedError('startFailed', {
    cause: 'another process changed the collections of the database',
    advice:
      'all processes need the same ones: restart this one with the collections of the other, or all with those of before',
  });
}

/**
 * A state that another process brought about, and that this one may not serve, nor take for what it knows.
 * @param known what the witness says now
 */
export function refusalOf(
  content: SealContent,
  known: WitnessContent,
  options: OpenOptions,
  isEncrypting: boolean,
): DegradedError | undefined {
  return (
    oppositeState(content, options, isEncrypting) ??
    decryptedElsewhere(content, known, options.encrypt)
  );
}

/** A tool takes either state as it is. */
function oppositeState(
  content: SealContent,
  options: OpenOptions,
  isEncrypting: boolean,
): DegradedError | undefined {
  const cause = `another process brought the database into the state ${content.state}`;
  if (options.role === 'tool') return undefined;
  const served = isEncrypting ? ['encrypted', 'rekeying'] : ['plaintext'];
  return served.includes(content.state)
    ? undefined
    : new DegradedError('oppositeSetting', { cause, advice: 'restart this process' });
}
