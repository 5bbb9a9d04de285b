/** The one line that a password or a passphrase is, from a file or from standard input. */
import { TextDecoder } from 'node:util';

/** No password is longer; an input without an end must not fill the memory. */
export const SECRET_LINE_BYTES_MAX = 64 * 1024;

/** The line without its end, or why there is none: the end of a sentence that begins with where the bytes come from. */
export type SecretLine = { readonly line: string } | { readonly problem: string };

/** Nothing is dropped: what stands behind the line was meant for something, and would open nothing without it. */
export function secretLine(bytes: Uint8Array): SecretLine {
  if (bytes.length > SECRET_LINE_BYTES_MAX) return { problem: 'holds over 64 KiB' };
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { problem: 'is not UTF-8 text' };
  }
  const line = text.replace(/\r?\n$/, '');
  if (line === '') return { problem: 'is empty' };
  if (line.startsWith('\n') || line.startsWith('\r\n'))
    return { problem: 'begins with an empty line' };
  if (line.includes('\n'))
    return { problem: 'holds more than one line: a password is one line alone' };
  return { line };
}
