/** The packages as somebody has them who has no clone: packed, and installed with what the registry gives for them. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { transformSync } from '@swc/core';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort } from '../harness/free-port.js';
import { InstallSite } from '../harness/install-site.js';
import { NODE_RELEASES } from '../harness/node-release.js';
import { runOrThrow, type ProgramResult } from '../harness/program.js';
import { RedisServer } from '../harness/redis.js';
import { Resources } from '../harness/resources.js';
import { TemporaryFolder } from '../harness/temporary-folder.js';

const ROOT = join(import.meta.dirname, '../..');
const PACKAGES = readdirSync(join(ROOT, 'packages'));
const [LOWEST_NODE] = NODE_RELEASES;
const WITHOUT_A_WORD = { warnings: [], scripts: [] };
/** The registry is asked, on a machine that may be busy. */
const INSTALL_LIMIT_MS = 240_000;

const shared = new Resources();
let tarballs: TemporaryFolder;
beforeAll(async () => {
  tarballs = shared.use(new TemporaryFolder('vault-packed'));
  const args = ['pack', '--workspaces', '--ignore-scripts', '--pack-destination', tarballs.path];
  await runOrThrow('npm', args, { cwd: ROOT });
}, INSTALL_LIMIT_MS);
afterAll(() => shared.stop());

const resources = new Resources();
afterEach(() => resources.stop());

/** What the README of a package tells to install. */
function installedBy(readme: string): readonly string[] {
  const [, files] = /^npm install --prefix \. (.+)$/m.exec(readme) ?? [];
  if (files === undefined) throw new Error('the README has no command that installs');
  return files.split(' ');
}

function examplesOf(readme: string): readonly string[] {
  return [...readme.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = '']) => {
    const jsc = { parser: { syntax: 'typescript' }, target: 'es2022' } as const;
    return transformSync(code, { jsc, module: { type: 'es6' } }).code;
  });
}

test.each(PACKAGES)(
  `%s is installed by the command of its README, and runs its examples, on Node ${LOWEST_NODE}`,
  async (name) => {
    const readme = readFileSync(join(ROOT, 'packages', name, 'README.md'), 'utf8');
    const site = resources.use(await InstallSite.withNode(LOWEST_NODE));
    expect(await site.install(tarballs.path, installedBy(readme))).toEqual(WITHOUT_A_WORD);
    const examples = examplesOf(readme);
    expect(examples).not.toEqual([]);
    const redis = resources.use(await RedisServer.start({ listen: 'tcp' }));
    for (const [at, code] of examples.entries()) {
      writeFileSync(site.folder.join(`example-${at}.mjs`), code);
      const env = { REDIS_URL: redis.url };
      const result = await site.run('node', [`example-${at}.mjs`], '', env);
      expect(result).toMatchObject({ status: 0 });
      expect(result.stderr).not.toMatch(/Warning/);
    }
  },
  INSTALL_LIMIT_MS,
);

describe.each(NODE_RELEASES)('on Node %s', (version) => {
  test(
    'vault-server with a Redis of its own and vault-cli work, and nothing warns',
    async () => {
      const site = resources.use(await InstallSite.withNode(version));
      const files = readdirSync(tarballs.path).map((file) => `./${file}`);
      // The registry was asked above.
      const installed = await site.install(tarballs.path, files, ['--prefer-offline']);
      expect(installed).toEqual(WITHOUT_A_WORD);
      const at = ['--config', 'config.toml'];
      const initial = await site.run('vault-server', ['init', ...at, '--datadir', 'data']);
      expect(initial).toMatchObject({ status: 0, stderr: '' });
      const port = String(await findFreePort());
      const server = resources.use(site.start('vault-server', ['start', ...at, '--port', port]));
      const [, url = ''] = await server.waitForOutput(/^vault-server ready on (\S+)$/m, {
        limitMs: 60_000,
      });

      const cli = (args: readonly string[], input = ''): Promise<ProgramResult> =>
        site.run('vault-cli', args, input);
      const password = readFileSync(site.folder.join('data/initial-password'), 'utf8');
      expect(await cli(['register', url, 'admin@admin.net'], password)).toMatchObject({
        status: 0,
        stderr: `Signed in as admin@admin.net\nRegistered ${url}\n`,
      });
      const record = { host: 'xcp1.example.org', username: 'root', password: 'hunter2' };
      const words = ['host=xcp1.example.org', 'username=root', 'password=-'];
      expect(await cli(['server.add', ...words], 'hunter2\n')).toMatchObject({
        status: 0,
        stderr: '',
      });
      const all = await cli(['server.getAll', '--json']);
      expect(all).toMatchObject({ status: 0, stderr: '' });
      expect(JSON.parse(all.stdout)).toEqual([
        expect.objectContaining({ ...record, password: '***obfuscated***' }),
      ]);

      expect(await server.stop()).toMatchObject({ status: 0 });
      expect(server.stdout + server.stderr).not.toMatch(/\(node:\d+\)|Warning|deprecat/i);
      expect(existsSync(site.folder.join('data/redis'))).toBe(true);
    },
    INSTALL_LIMIT_MS,
  );
});
