/**
 * A plaintext state that the key signed, and that was not brought about here: another server decrypted the
 * database, or somebody put the state of a copy of it there that was decrypted, with whatever records. Who
 * says that it is to be encrypted would make them authentic, so such a start asks first.
 */
import { ACCEPT_ADVICE, DegradedError } from '../errors.js';
import { isSame } from '../state/witness.js';
import { intentOf } from './encryption-intent.js';
import type { Observation } from './observe.js';

/**
 * @param setting of the configuration; `undefined`: the line is absent
 * @throws {DegradedError} where this server is to keep encrypted what it knew encrypted, and finds plaintext
 */
export function refuseDecryptedElsewhere(
  { seal, witness }: Pick<Observation, 'seal' | 'witness'>,
  setting: boolean | undefined,
): void {
  if (seal === undefined || seal.content.keyId !== null) return;
  if (witness === undefined || witness.keyId === null || isSame(seal.content, witness.next)) return;
  // An explicit false is what the operator says here, whoever carried it out; a pin wants more than that.
  if (!intentOf(setting, witness, false).isEncrypting) return;
  throw new DegradedError('foreignDatabase', {
    cause: `Redis holds the database in plaintext, which this server knew ${witness.state} under key ${witness.keyId} and is to keep encrypted: another server decrypted it, or somebody put a decrypted copy there`,
    advice: ACCEPT_ADVICE,
  });
}
