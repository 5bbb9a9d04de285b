/** Passwords that the server makes up, where it must not take a known one. */
import { randomBytes } from 'node:crypto';

/** 18 bytes are 24 characters of base64url, 144 bits. */
const PASSWORD_BYTES = 18;

/** 24 characters of base64url. */
export function generatePassword(): string {
  return randomBytes(PASSWORD_BYTES).toString('base64url');
}
