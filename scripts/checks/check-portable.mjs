// No tracked file names a package registry, a private address, or a path of the machine that it was written on.
import { readFileSync } from 'node:fs';
import { report, listFiles } from './source-files.mjs';

const BINARY = /\.(png|ico|gpg|pgp|gz|rdb|so|bin)$/;
const FORBIDDEN = [
  [/"resolved":\s*"(https?|git)/, 'a recorded download address'],
  [/\bregistry\.[a-z0-9-]+\.[a-z]+/i, 'the host of a registry'],
  [/(^|[\s'"`(=:])\/(work|root|home\/[a-z]+|Users\/[A-Za-z]+)\//m, 'a path of one machine'],
  [/\bhttps?:\/\/(10|192\.168|172\.(1[6-9]|2\d|3[01]))\.\d+\.\d+/, 'a private address'],
];
/** Where a match is the subject itself: these patterns, and examples of addresses in tests and documents. */
const EXEMPT = { 'scripts/checks/check-portable.mjs': /./ };

const problems = [];
const files = listFiles().filter((path) => !BINARY.test(path) && !(path in EXEMPT));
for (const path of files) {
  const text = readFileSync(path, 'utf8');
  for (const [pattern, what] of FORBIDDEN) {
    const match = pattern.exec(text);
    if (match === null) continue;
    if (what === 'a private address' && /(^|\/)(test|docs)\/|README/.test(path)) continue;
    const line = text.slice(0, match.index).split('\n').length;
    problems.push(`${path}:${line}: ${what}: ${match[0].trim()}`);
  }
}
report(`portability of ${files.length} files`, problems);
