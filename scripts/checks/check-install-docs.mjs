// The README of every package says how it is installed and what it brings along, as manifests, lock and node_modules have it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withInstallSection } from '../install-document.mjs';
import { listPackages, report } from './source-files.mjs';

const problems = [];
for (const { folder, manifest } of listPackages()) {
  const path = join(folder, 'README.md');
  const found = readFileSync(path, 'utf8').split('\n');
  const made = withInstallSection(found.join('\n'), manifest.name).split('\n');
  const at = made.findIndex((line, index) => line !== found[index]);
  if (at < 0) continue;
  problems.push(
    `${path}:${at + 1}: is not what scripts/generate-install-docs.mjs makes: ${made[at]}`,
  );
}
report('installation in READMEs', problems);
