// No tracked file names a package registry, a private address, or a path of the machine that it was written on.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { report, listFiles } from './source-files.mjs';

const BINARY = /\.(png|ico|gpg|pgp|gz|rdb|so|bin)$/;
/** Examples in these are made up, and the patterns below would find themselves here. */
const MADE_UP = /(^|\/)(test|docs)\/|README|scripts\/checks\//;
/** Each with whether made-up examples of it are allowed. */
const FORBIDDEN = [
  [/"resolved":\s*"(https?|git)/, 'a recorded download address', true],
  [/\bregistry\.[a-z0-9-]+\.[a-z]+/i, 'the host of a registry', false],
  [/(^|[\s'"`(=:])\/(home|Users)\/[A-Za-z]+\//m, 'a path of one machine', true],
  [absolutePath(process.cwd()), 'the path of this clone', false],
  [absolutePath(homedir()), 'the home folder of this machine', false],
  [/\bhttps?:\/\/(10|192\.168|172\.(1[6-9]|2\d|3[01]))\.\d+\.\d+/, 'a private address', true],
];

/** An absolute path as it stands: not as the end of a longer one (a clone in /src must not find `packages/x/src/`). */
function absolutePath(folder) {
  return new RegExp(
    `(?<![\\w./*)\\]}>])${folder.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)}/`,
  );
}

const problems = [];
const files = listFiles().filter((path) => !BINARY.test(path));
for (const path of files) {
  const text = readFileSync(path, 'utf8');
  for (const [pattern, what, mayBeMadeUp] of FORBIDDEN) {
    if (mayBeMadeUp && MADE_UP.test(path)) continue;
    const match = pattern.exec(text);
    if (match === null) continue;
    const line = text.slice(0, match.index).split('\n').length;
    problems.push(`${path}:${line}: ${what}: ${match[0].trim()}`);
  }
}
report(`portability of ${files.length} files`, problems);
