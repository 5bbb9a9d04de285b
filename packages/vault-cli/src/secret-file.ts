import { open } from 'node:fs/promises';
import { FileUnusableError, systemErrorCode } from './errors.js';
import { MAX_SECRET_BYTES, secretText } from './secret-text.js';

/**
 * The value of `name=@path`: the whole file, see {@link secretText}.
 *
 * @throws FileUnusableError when it cannot be read, is empty, is not UTF-8 or exceeds 16 MiB; never with what is in it.
 */
export async function readSecretFile(name: string, path: string): Promise<string> {
  const found = secretText(await readParts(name, path));
  if ('text' in found) return found.text;
  throw new FileUnusableError(`${name}: the file ${path} ${found.problem}`);
}

async function readParts(name: string, path: string): Promise<readonly Uint8Array[]> {
  const parts: Uint8Array[] = [];
  let lengthBytes = 0;
  try {
    const file = await open(path, 'r');
    // Not by its size: a pipe, such as that of `name=@<(command)`, has none.
    for await (const part of file.createReadStream() as AsyncIterable<Buffer>) {
      parts.push(part);
      lengthBytes += part.length;
      if (lengthBytes > MAX_SECRET_BYTES) break;
    }
  } catch (error) {
    const reason = systemErrorCode(error) ?? 'unexpected error';
    const message = `${name}: the file ${path} cannot be read (${reason})`;
    const advice = `for a text that begins with @ write ${name}=@@…`;
    throw new FileUnusableError(message, { cause: error, advice });
  }
  if (lengthBytes > MAX_SECRET_BYTES) {
    throw new FileUnusableError(`${name}: the file ${path} holds over 16 MiB`);
  }
  return parts;
}
