import { TextDecoder } from 'node:util';

/** More than any server takes in one call; an input without an end must not fill the memory. */
export const MAX_SECRET_BYTES = 16 * 1024 * 1024;

/** A value as it goes to the server, or why there is none: the end of a sentence that begins with where it comes from. */
export type SecretText = { readonly text: string } | { readonly problem: string };

/**
 * The whole of a file, or of standard input, as one value: byte for byte, but for one line end (LF or CRLF) at its end,
 * which editors and `echo` put there.
 */
export function secretText(parts: readonly Uint8Array[]): SecretText {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(parts));
  } catch {
    return { problem: 'is not UTF-8 text: encode it first, with base64 for example' };
  }
  const value = text.replace(/\r?\n$/, '');
  return value === '' ? { problem: 'is empty' } : { text: value };
}
