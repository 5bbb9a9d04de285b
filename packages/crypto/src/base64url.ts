/** RFC 4648 §5, in the order of its values. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const BITS_PER_CHARACTER = 6;
const VALUE_MAX = 0b111111;

/**
 * The base64url of the first `bytes` bytes, from that of more of them: a digest that is asked for as
 * text spares the runtime a buffer, which costs more than the text.
 * @param text base64url without padding of at least `bytes` bytes
 */
export function truncateBase64url(text: string, bytes: number): string {
  const whole = Math.floor((bytes * 8) / BITS_PER_CHARACTER);
  const bitsLeft = (bytes * 8) % BITS_PER_CHARACTER;
  if (bitsLeft === 0) return text.slice(0, whole);
  const mask = VALUE_MAX & (VALUE_MAX << (BITS_PER_CHARACTER - bitsLeft));
  return text.slice(0, whole) + ALPHABET.charAt(ALPHABET.indexOf(text.charAt(whole)) & mask);
}
