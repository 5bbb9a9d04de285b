import { KeyHalf, KeyHalfInvalidError } from '@vault/crypto';

/** @returns `undefined` for what can be no half: another length than 32 bytes, or nothing but zeros */
export function halfFromBytes(bytes: Uint8Array): KeyHalf | undefined {
  try {
    return KeyHalf.fromBytes(bytes);
  } catch (error) {
    if (error instanceof KeyHalfInvalidError) return undefined;
    throw error;
  }
}
