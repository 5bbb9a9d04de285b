import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runOrThrow, runProgram, type ProgramResult } from './harness/program.js';
import { Resources } from './harness/resources.js';
import { TemporaryFolder } from './harness/temporary-folder.js';

jest.setTimeout(60_000);
const resources = new Resources();
afterEach(() => resources.stop());

const CHECKS = join(import.meta.dirname, '../scripts/checks');

type Files = Readonly<Record<string, string>>;

/** A repository in small in which every check finds nothing. */
const SOUND: Files = {
  'packages/crypto/package.json': '{ "name": "@vault/crypto", "version": "0.1.0" }',
  'packages/crypto/src/index.ts': "export { seal } from './seal.js';\n",
  'packages/crypto/src/seal.ts': "import { randomBytes } from 'node:crypto';\n",
  'packages/redis-store/package.json':
    '{ "name": "@vault/redis-store", "version": "0.1.0", "dependencies": { "@vault/crypto": "0.1.0" } }',
  'packages/redis-store/src/redis/scripts.ts':
    "export const SCRIPT_FILES = { vaultGet: 'get.lua' };\n",
  'packages/redis-store/src/store.ts':
    "import { seal } from '@vault/crypto';\nlink.script('vaultGet', [key], [seal, 1]);\n",
  'packages/redis-store/lua/get.lua':
    '-- Reads a value.\n--\n-- KEYS[1] value: string\n-- ARGV[1] seal: bytes\n-- ARGV[2..] flags: 0 or 1\n' +
    "-- Returns: the value\nlocal last = ARGV[#ARGV]\nreturn redis.call('GET', KEYS[1]) .. ARGV[1]\n",
  'packages/vault-cli/package.json': '{ "name": "vault-cli", "version": "0.1.0" }',
  'packages/vault-cli/src/main.ts': 'process.exit(process.env.STATUS);\n',
  'package-lock.json': '{ "packages": { "": {}, "node_modules/a": { "integrity": "sha512-x" } } }',
};

/** READMEs of all packages with the same example. */
const examples = (code: string): Files => {
  const readme = '```ts\n' + code + '```\n';
  const names = ['.', 'packages/crypto', 'packages/redis-store', 'packages/vault-cli'];
  return Object.fromEntries(names.map((name) => [join(name, 'README.md'), readme]));
};

async function check(name: string, changes: Files, base: Files = SOUND): Promise<ProgramResult> {
  const folder = resources.use(new TemporaryFolder('vault-check'));
  for (const [path, text] of Object.entries({ ...base, ...changes })) {
    mkdirSync(dirname(folder.join(path)), { recursive: true });
    writeFileSync(folder.join(path), text);
  }
  await runOrThrow('git', ['init', '--quiet'], { cwd: folder.path });
  return runProgram('node', [join(CHECKS, `check-${name}.mjs`)], { cwd: folder.path });
}

describe('the checks of the repository', () => {
  test.each(['arrows', 'file-writes', 'layout', 'lock', 'lua', 'portable'])(
    '%s finds nothing in sound code',
    async (name) => {
      expect(await check(name, {})).toMatchObject({ status: 0, stderr: '' });
    },
  );

  const lua = SOUND['packages/redis-store/lua/get.lua'] as string;
  const changedLua = (from: string, to: string): Files => ({
    'packages/redis-store/lua/get.lua': lua.replace(from, to),
  });

  test.each<[string, string, Files, RegExp]>([
    [
      'arrows',
      'an arrow that turns back',
      { 'packages/crypto/src/seal.ts': "import { x } from '@vault/redis-store';\n" },
      /crypto may not import @vault\/redis-store/,
    ],
    [
      'arrows',
      'an import of several lines out of the package',
      {
        'packages/redis-store/src/store.ts':
          "import {\n  a,\n  b,\n} from '../../crypto/src/seal.js';\n",
      },
      /leaves src/,
    ],
    [
      'arrows',
      'code of the server in the client',
      { 'packages/vault-cli/src/main.ts': "import { x } from '@vault/rpc-server/protocol';\n" },
      /is not a dependency/,
    ],
    [
      'arrows',
      'an arrow between rooms that turns back, of a type',
      {
        'packages/redis-store/src/records/record.ts':
          "import type { Start } from '../startup/start.js';\n",
      },
      /records may not import from startup/,
    ],
    [
      'arrows',
      'a folder that is no room',
      { 'packages/redis-store/src/attic/old.ts': "import { a } from '../store.js';\n" },
      /attic is not in the table of rooms/,
    ],
    [
      'arrows',
      'a dependency that the manifest does not name',
      { 'packages/crypto/src/seal.ts': "const ws = await import('ws');\n" },
      /ws is not a dependency/,
    ],
    [
      'arrows',
      'files that import each other',
      { 'packages/crypto/src/seal.ts': "export * from './index.js';\n" },
      /import cycle: .*index\.ts → .*seal\.ts → .*index\.ts/,
    ],
    [
      'file-writes',
      'a file that is renamed without the writer',
      {
        'packages/redis-store/src/store.ts':
          "import {\n  readFile,\n  rename as move,\n} from 'node:fs/promises';\n",
      },
      /store\.ts: rename of node:fs/,
    ],
    [
      'file-writes',
      'a file that is opened to write',
      {
        'packages/redis-store/src/store.ts':
          "import { open } from 'node:fs/promises';\nawait open(`${path}.tmp`, 'w', MODE);\n",
      },
      /store\.ts: opens a file to write/,
    ],
    [
      'layout',
      'a name that says nothing',
      { 'packages/crypto/src/utils.ts': '' },
      /name the concept/,
    ],
    [
      'layout',
      'the environment read outside main.ts',
      { 'packages/crypto/src/seal.ts': 'export const home = process.env.HOME;\n' },
      /reads the environment/,
    ],
    [
      'layout',
      'a very long file without a reason',
      { 'packages/crypto/src/seal.ts': '\n'.repeat(500) },
      /501 lines, and no reason/,
    ],
    [
      'lock',
      'a recorded download address',
      {
        'package-lock.json':
          '{ "packages": { "node_modules/a": { "integrity": "x", "resolved": "https://a.example/a.tgz" } } }',
      },
      /records https/,
    ],
    [
      'portable',
      "a path of somebody's machine",
      { 'CHANGELOG.md': 'Ran in `/home/alice/vault`.\n' },
      /CHANGELOG\.md:1: a path of one machine/,
    ],
    [
      'lua',
      'an argument that is not described',
      changedLua('.. ARGV[1]', '.. ARGV[1] .. KEYS[2]'),
      /KEYS\[2\] is not in the header/,
    ],
    [
      'lua',
      'an argument that is not used',
      changedLua('.. ARGV[1]', ''),
      /ARGV\[1\] of the header is not used/,
    ],
    [
      'lua',
      'a gap in the numbers',
      changedLua('-- ARGV[1]', '-- ARGV[3]'),
      /ARGV\[3\] is out of order/,
    ],
    [
      'lua',
      'a key name written out',
      changedLua("'GET', KEYS[1]", "'GET', 'vault:x'"),
      /a key name is written out/,
    ],
    ['lua', 'no returns', changedLua('-- Returns: the value\n', ''), /no "-- Returns:"/],
    [
      'lua',
      'a caller with too many keys',
      { 'packages/redis-store/src/store.ts': "link.script('vaultGet', [key, other], [seal]);\n" },
      /vaultGet gets 2 KEYS, get\.lua describes 1/,
    ],
    [
      'lua',
      'a caller with too few arguments, in a constant',
      {
        'packages/redis-store/src/store.ts':
          "const args: string[] = [];\nlink.script('vaultGet', [key], args);\n",
      },
      /vaultGet gets 0 ARGV, get\.lua describes 1/,
    ],
    [
      'lua',
      'a script that nothing calls',
      { 'packages/redis-store/src/store.ts': '' },
      /nothing calls vaultGet/,
    ],
  ])('%s finds %s', async (name, _what, changes, message) => {
    expect(await check(name, changes)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(message),
    });
  });

  test('readme-examples runs each example, with a Redis where it asks for one', async () => {
    const code = "if (!(process.env['REDIS_URL'] ?? '').startsWith('redis://')) throw 1;\n";
    expect(await check('readme-examples', examples(code))).toMatchObject({ status: 0, stderr: '' });
  });

  test.each([
    ['does not type-check', 'export const a: string = 1;\n', /TS2322/],
    ['fails', "throw new Error('boom');\n", /boom/],
  ])('readme-examples finds one that %s', async (_what, code, message) => {
    expect(await check('readme-examples', examples(code))).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(message),
    });
  });

  test('errors finds a table that drifted', async () => {
    const errors = readFileSync(join(CHECKS, '../../docs/errors.md'), 'utf8');
    const of = (text: string): Promise<ProgramResult> =>
      check('errors', { 'docs/errors.md': text }, {});
    expect(await of(errors)).toMatchObject({ status: 0, stderr: '' });
    expect(await of(errors.replace('REDIS_REFUSED', 'REDIS_DENIED'))).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('is not what scripts/generate-error-docs.mjs makes'),
    });
  });

  test.each([
    ['a file that is not there', '[a](b.md)', /README\.md: b\.md leads to no file/],
    ['a heading that is not there', '[a](#d)\n# C\n', /README\.md: #d leads to no heading/],
  ])('links finds %s', async (_what, text, message) => {
    const sound = '# One two\n[a](#one-two)\n```sh\n[a](none)\n```\n';
    expect(await check('links', { 'README.md': sound }, {})).toMatchObject({ status: 0 });
    expect(await check('links', { 'README.md': text }, {})).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(message),
    });
  });

  test.each([
    ['sound READMEs', '', '', 0, /^$/],
    [
      'another count of packages',
      '2 packages of other authors',
      '3 packages of other authors',
      1,
      /keystore\/README\.md:/,
    ],
    ['a tarball too few', './vault-crypto-0.1.0.tgz ', '', 1, /keystore\/README\.md:/],
    ['another Node', 'Node 20.19', 'Node 18.0', 1, /keystore\/README\.md:/],
  ])('install-docs tells %s', async (_what, from, to, status, message) => {
    const folder = resources.use(new TemporaryFolder('vault-check'));
    const engines = { node: '^20.19.0 || >=24.0.0' };
    const manifest = { version: '0.1.0', engines };
    const dependencies = { '@vault/crypto': '0.1.0', debug: '4.4.3' };
    const keystore = { ...manifest, name: '@vault/keystore', dependencies };
    const packages = {
      'packages/crypto': manifest,
      'packages/keystore': keystore,
      'node_modules/@vault/crypto': { link: true, resolved: 'packages/crypto' },
      'node_modules/debug': { version: '4.4.3', dependencies: { ms: '^2.1.3' } },
      'node_modules/ms': { version: '2.1.3', optionalDependencies: { fsevents: '2.0.0' } },
      'node_modules/fsevents': { version: '2.0.0' },
    };
    const files = {
      'package-lock.json': JSON.stringify({ packages }),
      'packages/crypto/package.json': JSON.stringify({ ...manifest, name: '@vault/crypto' }),
      'packages/crypto/README.md': '# @vault/crypto\n\n## Example\n',
      'packages/keystore/package.json': JSON.stringify(keystore),
      'packages/keystore/README.md': '# @vault/keystore\n\n## Example\n',
      'node_modules/debug/index.js': 'x'.repeat(600_000),
    };
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(folder.join(path)), { recursive: true });
      writeFileSync(folder.join(path), text);
    }
    const generator = join(CHECKS, '../generate-install-docs.mjs');
    await runOrThrow('node', [generator], { cwd: folder.path });
    const readme = folder.join('packages/keystore/README.md');
    const text = readFileSync(readme, 'utf8');
    expect(text).toContain('2 packages of other authors, 1 MB;');
    writeFileSync(readme, text.replace(from, to));
    const checked = join(CHECKS, 'check-install-docs.mjs');
    expect(await runProgram('node', [checked], { cwd: folder.path })).toMatchObject({
      status,
      stderr: expect.stringMatching(message),
    });
  });

  test('packages finds files that do not belong, and entry points that lead nowhere', async () => {
    const manifest = {
      name: 'broken',
      version: '1.0.0',
      type: 'module',
      exports: {
        '.': { types: './dist/index.d.ts', default: './dist/index.cjs' },
        './none': './dist/none.js',
      },
    };
    const changes = {
      'packages/broken/package.json': JSON.stringify(manifest),
      'packages/broken/dist/index.d.ts': 'export declare const a: number;\n',
      'packages/broken/dist/index.cjs': 'exports.a = 1;\n',
      'packages/broken/secret.txt': '',
    };
    const { stderr } = await check('packages', changes, {});
    expect(stderr).toMatch(/broken: publishes secret\.txt/);
    expect(stderr).toMatch(/broken: does not publish LICENSE/);
    expect(stderr).toMatch(/packages\/broken: .*dist\/none\.js but the file does not exist/);
    expect(stderr).toMatch(/attw:[^]*Masquerading as ESM/);
  });
});
