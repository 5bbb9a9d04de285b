// Runs every check of this folder, also after one has failed: npm run check.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

/** Paths of the checks, in order of name. */
export function listChecks() {
  return readdirSync(import.meta.dirname)
    .filter((name) => name.startsWith('check-'))
    .toSorted()
    .map((name) => `scripts/checks/${name}`);
}

if (process.argv[1] === import.meta.filename) {
  for (const path of listChecks()) {
    const { status } = spawnSync('node', [path], { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
}
