// Writes the section "Install" of the README of every package. Format after: npx oxfmt packages/*/README.md
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listPackages } from './checks/source-files.mjs';
import { withInstallSection } from './install-document.mjs';

for (const { folder, manifest } of listPackages()) {
  const path = join(folder, 'README.md');
  writeFileSync(path, withInstallSection(readFileSync(path, 'utf8'), manifest.name));
}
