// What the checks know of the repository: its files, its packages, the imports of a TypeScript file.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Every file that is tracked, or new and not ignored; not those deleted in the working tree. */
export function listFiles() {
  const output = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  return output.split('\0').filter((path) => path !== '' && existsSync(path));
}

/** @returns {{ folder: string, manifest: Record<string, any> }[]} */
export function listPackages() {
  return readdirSync('packages')
    .map((name) => join('packages', name))
    .filter((folder) => existsSync(join(folder, 'package.json')))
    .map((folder) => ({
      folder,
      manifest: JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')),
    }));
}

/** TypeScript files of the packages' `src` folders. */
export function listSources() {
  return listFiles().filter((path) => /^packages\/[^/]+\/src\/.*\.ts$/.test(path));
}

/** The text without comments; strings that hold `//` after a line's first character survive. */
export function readCode(path) {
  return readFileSync(path, 'utf8')
    .replace(/\/\*[^]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/\s\/\/ .*$/gm, '');
}

const IMPORT =
  /\b(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g;

/** @returns {{ specifier: string, isType: boolean }[]} the modules that a file imports or re-exports */
export function readImports(path) {
  return [...readCode(path).matchAll(IMPORT)].map(([, type, fromClause, dynamic]) => ({
    specifier: fromClause ?? dynamic,
    isType: type !== undefined,
  }));
}

/** Prints what a check found and sets the exit status. */
export function report(what, problems) {
  for (const problem of problems) console.error(problem);
  console.log(`${what}: ${problems.length} problems`);
  if (problems.length > 0) process.exitCode = 1;
}
