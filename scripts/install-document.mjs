// What the README of a package says of installing it, made from the manifests, the lock and node_modules.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { listPackages } from './checks/source-files.mjs';

const HEADING = '## Install\n';

/** The README with the section that its package should have, behind its introduction. */
export function withInstallSection(readme, name) {
  const section = installSection(name);
  const start = readme.indexOf(HEADING);
  if (start < 0) {
    const first = readme.indexOf('\n## ') + 1;
    return `${readme.slice(0, first)}${section}\n${readme.slice(first)}`;
  }
  const end = readme.indexOf('\n## ', start) + 1;
  return `${readme.slice(0, start)}${section}\n${readme.slice(end)}`;
}

/** The files that `npm pack --workspaces` makes, for a package and those of ours that it needs, the lowest first. */
export function tarballsOf(name) {
  const packages = new Map(listPackages().map(({ manifest }) => [manifest.name, manifest]));
  const found = [];
  const visit = (manifest) => {
    for (const needed of Object.keys(manifest.dependencies ?? {})) {
      if (packages.has(needed)) visit(packages.get(needed));
    }
    const file = `${manifest.name.replace('@', '').replace('/', '-')}-${manifest.version}.tgz`;
    if (!found.includes(file)) found.push(file);
  };
  visit(packages.get(name));
  return found;
}

function installSection(name) {
  const { manifest } = listPackages().find((entry) => entry.manifest.name === name);
  const tarballs = tarballsOf(name);
  const others = othersOf(name);
  const [program] = Object.keys(manifest.bin ?? {});
  const inFolder = program === undefined ? '' : `, where \`npx ${program}\` runs it`;
  const brought =
    others.count === 0
      ? 'brings along no package of other authors'
      : `brings along ${others.count} packages of other authors, ${others.size}`;
  return `${HEADING}
No registry has it. Pack it in a clone of the repository, with the packages of Vault that it needs, and install the
files in a folder of your own${inFolder}:

\`\`\`sh
mkdir ~/vault
npm ci && npm run build && npm pack --workspaces --pack-destination ~/vault
cd ~/vault
npm install --prefix . ${tarballs.map((file) => `./${file}`).join(' ')}
\`\`\`

It ${brought}; it runs no script when it is installed,
and works on Node ${nodeVersions(manifest.engines.node)}.
`;
}

/** `^20.19.0 || >=24.0.0` in words. */
function nodeVersions(range) {
  const versions = range.split('||').map((part) => {
    const [, sign, version] = /^\s*(\^|>=)(\d+\.\d+)\.0\s*$/.exec(part);
    return sign === '^' ? version : `${version.replace('.0', '')} or later`;
  });
  return `${versions.slice(0, -1).join(', ')} and ${versions.at(-1)}`;
}

/** The packages from elsewhere that an installation has on this platform, as the lock has them. */
function othersOf(name) {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  const seen = new Set();
  const visit = (path) => {
    const { dependencies = {}, optionalDependencies = {} } = packages[path];
    for (const needed of Object.keys(dependencies)) follow(path, needed);
    for (const needed of Object.keys(optionalDependencies)) {
      // Those of other platforms are not installed.
      if (existsSync(locate(path, needed))) follow(path, needed);
    }
  };
  const follow = (from, needed) => {
    const path = locate(from, needed);
    const real = packages[path].link ? packages[path].resolved : path;
    if (seen.has(real)) return;
    seen.add(real);
    visit(real);
  };
  const locate = (from, needed) => {
    for (
      let folder = from;
      ;
      folder = folder.slice(0, Math.max(folder.lastIndexOf('/node_modules/'), 0))
    ) {
      const path = join(folder, 'node_modules', needed);
      if (packages[path]) return path;
      if (folder === '') throw new Error(`${needed} of ${from} is not in the lock`);
      if (!folder.includes('/node_modules/')) folder = '';
    }
  };
  visit(listPackages().find(({ manifest }) => manifest.name === name).folder);
  const others = [...seen].filter((path) => path.includes('node_modules/'));
  const bytes = others.reduce((sum, path) => sum + bytesIn(path), 0);
  const megabytes = Math.round(bytes / 1e6);
  // One that npm puts into several places counts once: how it lays them out is its own matter.
  const names = others.map(
    (path) => `${path.split('node_modules/').at(-1)}@${packages[path].version}`,
  );
  return { count: new Set(names).size, size: megabytes < 1 ? 'less than 1 MB' : `${megabytes} MB` };
}

/** Without the packages that are nested in it. */
function bytesIn(path) {
  const entries = existsSync(path) ? readdirSync(path, { withFileTypes: true }) : [];
  return entries
    .filter((entry) => entry.name !== 'node_modules')
    .map((entry) => {
      const inner = join(path, entry.name);
      return entry.isDirectory() ? bytesIn(inner) : statSync(inner).size;
    })
    .reduce((sum, bytes) => sum + bytes, 0);
}
