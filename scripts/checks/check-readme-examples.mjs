// Type-checks and runs every ```ts block of the READMEs, as it stands there, against the built packages.
// A block that reads REDIS_URL gets a redis-server of its own; each runs in an empty folder and must end with status 0.
import { transformSync } from '@swc/core';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { listPackages, report } from './source-files.mjs';

/** In the clone, so that imports of packages are found as a user's would be. */
const FOLDER = resolve('node_modules/.cache/vault-readme-examples');
/** The clone that this script is in: it has the tools. */
const TOOLS = join(import.meta.dirname, '../..');
const RUN_LIMIT_MS = 60_000;
const problems = [];

/** @returns {{ name: string, code: string }[]} */
function readExamples(readme) {
  const blocks = readFileSync(readme, 'utf8').matchAll(/^```ts\n([^]*?)^```$/gm);
  return [...blocks].map(([, code], index) => ({
    name: `${readme.replace('/README.md', '').replaceAll('/', '-')}-${index + 1}`,
    code,
  }));
}

function checkTypes(names) {
  writeFileSync(join(FOLDER, 'package.json'), '{"type":"module"}\n');
  const tsconfig = {
    extends: join(TOOLS, 'tsconfig.base.json'),
    compilerOptions: {
      noEmit: true,
      composite: false,
      incremental: false,
      declaration: false,
      declarationMap: false,
      noUnusedLocals: false,
      typeRoots: [join(TOOLS, 'node_modules/@types')],
    },
    files: names.map((name) => `${name}.ts`),
  };
  writeFileSync(join(FOLDER, 'tsconfig.json'), JSON.stringify(tsconfig));
  const tsc = join(TOOLS, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync('node', [tsc, '-p', FOLDER], { encoding: 'utf8' });
  if (status !== 0) problems.push(stdout);
}

/** @returns {Promise<number>} a TCP port of 127.0.0.1 that nobody listens on */
async function findFreePort() {
  const server = createServer();
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Runs `use` with the URL of a redis-server. */
async function withRedis(folder, use) {
  const port = await findFreePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder];
  const redis = spawn('setpriv', ['--pdeathsig', 'KILL', 'redis-server', ...args]);
  try {
    await new Promise((ready, fail) => {
      redis.once('error', fail);
      redis.once('exit', () => fail(new Error('redis-server ended')));
      redis.stdout.on('data', (text) => {
        if (/ready to accept connections/i.test(String(text))) ready();
      });
    });
    use(`redis://127.0.0.1:${port}`);
  } finally {
    redis.kill();
  }
}

function runExample(name, folder, env) {
  const { status, stdout, stderr } = spawnSync('node', [join(FOLDER, `${name}.js`)], {
    cwd: folder,
    encoding: 'utf8',
    timeout: RUN_LIMIT_MS,
    env: { PATH: process.env.PATH, HOME: folder, ...env },
  });
  if (status !== 0) problems.push(`${name} ended with status ${status}\n${stdout}${stderr}`);
}

const readmes = [...listPackages().map(({ folder }) => join(folder, 'README.md')), 'README.md'];
for (const readme of readmes) if (!existsSync(readme)) problems.push(`${readme} is missing`);
const examples = readmes.filter((readme) => existsSync(readme)).flatMap(readExamples);
rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER, { recursive: true });
for (const { name, code } of examples) {
  writeFileSync(join(FOLDER, `${name}.ts`), code);
  const options = {
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
    module: { type: 'es6' },
  };
  writeFileSync(join(FOLDER, `${name}.js`), transformSync(code, options).code);
}
if (examples.length > 0) checkTypes(examples.map(({ name }) => name));
for (const { name, code } of examples) {
  const folder = mkdtempSync(join(tmpdir(), 'vault-example-'));
  try {
    if (code.includes('REDIS_URL'))
      await withRedis(folder, (url) => runExample(name, folder, { REDIS_URL: url }));
    else runExample(name, folder, {});
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
report(`${examples.length} examples in READMEs`, problems);
