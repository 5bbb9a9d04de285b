/**
 * A plaintext state that the key signed, and that was not brought about here: another server decrypted the
 * database, or somebody put the state of a copy of it there that was decrypted, with whatever records. Who
 * says that it is to be encrypted would make them authentic, so such a process asks first: at its start,
 * and whenever it meets another state.
 */
import { ACCEPT_ADVICE, DegradedError } from '../errors.js';
import type { SealContent } from '../state/seal.js';
import { isSame } from '../state/witness.js';
import type { WitnessContent } from '../state/witness.js';
import { intentOf } from './encryption-intent.js';

/**
 * @param content of a seal that is believed, so far
 * @param setting of the configuration; `undefined`: the line is absent
 * @returns the refusal where this server is to keep encrypted what it knew encrypted, and finds plaintext
 */
export function decryptedElsewhere(
  content: SealContent | undefined,
  witness: WitnessContent | undefined,
  setting: boolean | undefined,
): DegradedError | undefined {
  if (content === undefined || content.keyId !== null) return undefined;
  if (witness === undefined || witness.keyId === null) return undefined;
  if (isSame(content, witness.next)) return undefined;
  // An explicit false is what the operator says here, whoever carried it out; a pin wants more than that.
  if (!intentOf(setting, witness, false).isEncrypting) return undefined;
  return new DegradedError('foreignDatabase', {
    cause: `Redis holds the database in plaintext, which this server knew ${witness.state} under key ${witness.keyId} and is to keep encrypted: another server decrypted it, or somebody put a decrypted copy there`,
    advice: ACCEPT_ADVICE,
  });
}
