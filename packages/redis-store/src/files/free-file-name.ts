/** A name in the data folder that no file has yet. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * `<name><ending>`, or with `_1`, `_2`, … where that is taken.
 * @param companion ending of a second file that must be free too
 * @param named files of this kind that may lie in another folder, and must not be mistaken for this one
 */
export async function freeFileName(
  folder: string,
  name: string,
  ending: string,
  companion = '',
  named: readonly string[] = [],
): Promise<string> {
  for (let n = 0; ; n++) {
    const candidate = `${name}${n === 0 ? '' : `_${n}`}${ending}`;
    const path = join(folder, candidate);
    // oxlint-disable-next-line no-await-in-loop -- the first free one
    const taken = await Promise.all([exists(path), exists(`${path}${companion}`)]);
    if (!taken.includes(true) && !named.includes(candidate)) return candidate;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
