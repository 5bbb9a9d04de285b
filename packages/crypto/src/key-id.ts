declare const keyIdBrand: unique symbol;
/** 16 lower case hexadecimal digits: 8 bytes derived from both halves. Not a secret. */
export type KeyId = string & { readonly [keyIdBrand]: true };

export const KEY_ID_BYTES = 8;
const KEY_ID = /^[0-9a-f]{16}$/;

/** Whether `value` has the form of a key id. */
export function isKeyId(value: unknown): value is KeyId {
  return typeof value === 'string' && KEY_ID.test(value);
}
