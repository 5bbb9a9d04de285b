// Dependencies between packages point one way (the table below), no file of src leaves its package by a relative path,
// every import is declared in the package's manifest, no files load each other in a circle (types that name each
// other are erased before anything is loaded, so `import type` makes no circle), and dependencies between the rooms of a
// package point one way (rooms.mjs), those of types too.
import { builtinModules } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { ROOMS, roomOf } from './rooms.mjs';
import { listPackages, listSources, readImports, report } from './source-files.mjs';

/** Package → the packages of this repository that its src may import. */
const ARROWS = {
  '@vault/crypto': [],
  '@vault/keystore': ['@vault/crypto', '@vault/crypto/files'],
  '@vault/redis-store': ['@vault/crypto', '@vault/crypto/files'],
  '@vault/rpc-server': [
    '@vault/crypto',
    '@vault/crypto/files',
    '@vault/keystore',
    '@vault/redis-store',
  ],
  'vault-cli': [],
};
/** What may be imported as types only, beside that: the client knows the protocol, none of the server's code. */
const TYPE_ARROWS = { 'vault-cli': ['@vault/rpc-server/protocol'] };

const packages = listPackages();
const ownNames = new Set(packages.map(({ manifest }) => manifest.name));
const problems = [];
/** File → files of the same package that it loads. */
const graph = new Map();

const packageOf = (specifier) =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

for (const { folder, manifest } of packages) {
  if (!(manifest.name in ARROWS))
    problems.push(`${folder}: ${manifest.name} is not in the table of arrows`);
  for (const path of listSources().filter((source) => source.startsWith(`${folder}/`))) {
    checkFile(path, folder, manifest);
  }
}
for (const cycle of findCycles(graph)) problems.push(`import cycle: ${cycle.join(' → ')}`);
report(`arrows of ${graph.size} files`, problems);

function checkFile(path, folder, manifest) {
  const neighbours = [];
  for (const { specifier, isType } of readImports(path)) {
    if (specifier.startsWith('.')) {
      const target = normalize(join(dirname(path), specifier)).replace(/\.js$/, '.ts');
      if (!target.startsWith(`${folder}/src/`)) problems.push(`${path}: ${specifier} leaves src`);
      if (!isType) neighbours.push(target);
      checkRooms(path, target, folder, manifest.name);
    } else if (!specifier.startsWith('node:')) {
      checkPackageImport(path, manifest, specifier, isType);
    }
  }
  graph.set(path, neighbours);
}

function checkRooms(path, target, folder, name) {
  const rooms = ROOMS[name]?.map(([room]) => room);
  if (rooms === undefined) return;
  const [from, to] = [path, target].map((file) =>
    roomOf(name, file.slice(`${folder}/src/`.length)),
  );
  if (!rooms.includes(from)) problems.push(`${path}: ${from} is not in the table of rooms`);
  else if (rooms.indexOf(to) > rooms.indexOf(from))
    problems.push(`${path}: ${from} may not import from ${to} (${target})`);
}

function checkPackageImport(path, manifest, specifier, isType) {
  const name = packageOf(specifier);
  if (builtinModules.includes(name)) {
    problems.push(`${path}: write node:${specifier}`);
  } else if (ownNames.has(name)) {
    const isAllowed =
      (ARROWS[manifest.name] ?? []).includes(specifier) ||
      (isType && (TYPE_ARROWS[manifest.name] ?? []).includes(specifier));
    if (!isAllowed) problems.push(`${path}: ${manifest.name} may not import ${specifier}`);
  }
  const { dependencies = {}, optionalDependencies = {}, devDependencies = {} } = manifest;
  const declared = { ...dependencies, ...optionalDependencies, ...(isType ? devDependencies : {}) };
  if (!(name in declared)) problems.push(`${path}: ${name} is not a dependency in the manifest`);
}

/** Depth-first search: a file met again while it is still open closes a circle. */
function findCycles(edges) {
  const cycles = [];
  const finished = new Set();
  const open = [];
  const visit = (node) => {
    if (finished.has(node)) return;
    const at = open.indexOf(node);
    if (at >= 0) {
      cycles.push([...open.slice(at), node]);
      return;
    }
    open.push(node);
    for (const next of edges.get(node) ?? []) visit(next);
    open.pop();
    finished.add(node);
  };
  for (const node of edges.keys()) visit(node);
  return cycles;
}
