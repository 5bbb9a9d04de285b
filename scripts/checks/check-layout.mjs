// Files are named for what they hold, stay small, and only main.ts touches the process.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { listFiles, listSources, readCode, report } from './source-files.mjs';

const NAMES_THAT_SAY_NOTHING = /^(utils?|helpers?|common|types|misc|shared)\.[cm]?[jt]s$/;
/** A file over this many lines gives its reason, in its first lines, with the words "over 400 lines". */
const MAX_LINES = 400;
/** What belongs to main.ts alone: the environment, exits, signal handlers. */
const PROCESS_USES = [
  [/\bprocess\.env\b/, 'reads the environment'],
  [/\bprocess\.exit(Code)?\b/, 'sets the exit status'],
  [/\bprocess\.(on|once|addListener)\(/, 'installs a process handler'],
  [/import\s*\{[^}]*\b(env|exit)\b[^}]*\}\s*from\s*'node:process'/, 'imports env or exit'],
];

const problems = [];
for (const path of listFiles()) {
  if (NAMES_THAT_SAY_NOTHING.test(basename(path))) problems.push(`${path}: name the concept`);
}
const sources = listSources();
for (const path of sources) {
  const lines = readFileSync(path, 'utf8').split('\n');
  if (lines.length > MAX_LINES && !lines.slice(0, 15).join(' ').includes('over 400 lines')) {
    problems.push(`${path}: ${lines.length} lines, and no reason for it`);
  }
  if (basename(path) === 'main.ts') continue;
  const code = readCode(path);
  for (const [pattern, what] of PROCESS_USES) {
    if (pattern.test(code)) problems.push(`${path}: ${what}; only main.ts does`);
  }
}
report(`layout of ${sources.length} files`, problems);
