import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runOrThrow } from './program.js';

const ROOT = join(import.meta.dirname, '../..');
const FETCHED = join(ROOT, '.vault/node-releases');
const PACKAGE = `node-linux-${process.arch}`;

/** The versions of Node that tests of installed packages run on: the lowest of each line that `engines` names, and a newer one. */
export const NODE_RELEASES = JSON.parse(
  readFileSync(join(ROOT, 'scripts/node-releases.json'), 'utf8'),
) as readonly [string, ...string[]];

/**
 * A Node of another version, fetched once from the npm registry, whose packages hold the program and run no script.
 *
 * @returns the folder of the program, for the front of a PATH: `npm` then runs on it too
 */
export async function fetchNode(version: string): Promise<string> {
  const target = join(FETCHED, version);
  const programs = join(target, 'node_modules', PACKAGE, 'bin');
  if (existsSync(programs)) return programs;
  mkdirSync(FETCHED, { recursive: true });
  const folder = mkdtempSync(join(FETCHED, 'fetching-'));
  try {
    const options = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund'];
    await runOrThrow('npm', ['install', '--prefix', '.', ...options, `${PACKAGE}@${version}`], {
      cwd: folder,
    });
    for (const needless of ['include', 'share']) {
      rmSync(join(folder, 'node_modules', PACKAGE, needless), { recursive: true, force: true });
    }
    // Whole, or not at all; another test may have been faster.
    if (!existsSync(target)) renameSync(folder, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return programs;
}
