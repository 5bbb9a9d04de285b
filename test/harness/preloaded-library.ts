import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import { tmpdir } from 'node:os';
import { runOrThrow } from './program.js';

/**
 * Compiles a C file to a library for `LD_PRELOAD`, once per version of its source. Any user of the machine may run the
 * tests, so each has a folder of its own.
 * @param source path of the C file
 * @returns path of the library
 */
export async function buildLibrary(source: string): Promise<string> {
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const folder = join(tmpdir(), `vault-preloaded-${process.getuid?.() ?? 0}`);
  const name = `${basename(source, '.c')}-${hash}`;
  const library = join(folder, `${name}.so`);
  if (existsSync(library)) return library;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const built = join(folder, `${name}.${process.pid}.so`);
  await runOrThrow('gcc', ['-shared', '-fPIC', '-O2', '-o', built, source, '-ldl']);
  renameSync(built, library); // several test workers may build at once
  return library;
}
