// What npm would publish: only the files that belong there, and entry points that publint and attw find nothing wrong with.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { listPackages, report } from './source-files.mjs';

const BELONGS = /^(dist|src|lua|bin)\/|^(README\.md|LICENSE|package\.json|CHANGELOG\.md)$/;
const REQUIRED = ['README.md', 'LICENSE', 'package.json', 'dist/index.js', 'dist/index.d.ts'];
const attw = join(import.meta.dirname, '../../node_modules/@arethetypeswrong/cli/dist/index.js');
const folder = mkdtempSync(join(tmpdir(), 'vault-pack-'));
const problems = [];

try {
  for (const { folder: path, manifest } of listPackages()) {
    const tarball = pack(path, manifest.name);
    // A copy: the buffer of a small file may be a part of a larger one.
    const packed = { tarball: Uint8Array.from(readFileSync(tarball)).buffer };
    const { messages } = await publint({ strict: true, pack: packed });
    for (const message of messages)
      problems.push(`${path}: ${formatMessage(message, manifest, { color: false })}`);
    const types = spawnSync('node', [attw, tarball, '--profile', 'esm-only', '--no-color'], {
      encoding: 'utf8',
    });
    if (types.status !== 0) problems.push(`${path}: attw:\n${types.stdout}${types.stderr}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
report('packages as npm would publish them', problems);

/** @returns the path of the package's tarball */
function pack(path, name) {
  const args = [
    'pack',
    '--json',
    '--loglevel=error',
    '--ignore-scripts',
    '--pack-destination',
    folder,
  ];
  const [{ filename, files }] = JSON.parse(
    execFileSync('npm', args, { cwd: path, encoding: 'utf8' }),
  );
  const names = files.map((file) => file.path);
  for (const file of names) {
    if (!BELONGS.test(file) || file.endsWith('.tsbuildinfo'))
      problems.push(`${name}: publishes ${file}`);
  }
  for (const file of REQUIRED) {
    if (!names.includes(file)) problems.push(`${name}: does not publish ${file}`);
  }
  return join(folder, filename);
}
