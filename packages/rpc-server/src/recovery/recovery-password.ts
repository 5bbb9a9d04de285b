/** The password that an operator chooses for one recovery; kept as a digest, and only in memory. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** It guards the whole database while recovery mode is open, so it is longer than a passphrase of a backup. */
export const RECOVERY_PASSWORD_CHARACTERS_MIN = 16;

/** Whether a text is long enough, in characters. */
export function isRecoveryPassword(text: string): boolean {
  return Array.from(text).length >= RECOVERY_PASSWORD_CHARACTERS_MIN;
}

export class RecoveryPassword {
  readonly #key = randomBytes(32);
  readonly #digest: Buffer;

  /** @throws RangeError when it is too short */
  constructor(text: string) {
    if (!isRecoveryPassword(text)) {
      throw new RangeError(
        `a recovery password has at least ${RECOVERY_PASSWORD_CHARACTERS_MIN} characters`,
      );
    }
    this.#digest = this.#digestOf(text);
  }

  /** Compared in constant time. */
  isRight(text: string): boolean {
    return timingSafeEqual(this.#digestOf(text), this.#digest);
  }

  #digestOf(text: string): Buffer {
    return createHmac('sha256', this.#key).update(text).digest();
  }
}
