/** A field is taken out of `[collections.x]` while records hold it, with the programs. */
import { afterAll, expect, jest, test } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TomlTable } from 'smol-toml';
import { RedisServer } from '../harness/redis.js';
import { Resources } from '../harness/resources.js';
import { VaultCli } from '../harness/vault-cli.js';
import { TEST_ADMIN, VaultServer } from '../harness/vault-server.js';

// Several starts of real programs, on a machine that may be busy.
jest.setTimeout(120_000);

const PASSPHRASE = 'a passphrase of the backup\n';
const resources = new Resources();
afterAll(() => resources.stop());

function collections(fields: TomlTable, more: TomlTable = {}): TomlTable {
  return { collections: { apikey: { fields, indexes: { service: 'exact' }, ...more } } };
}

test('the start says so and serves nothing; with dropFields it drops them, and export and import work', async () => {
  const redis = resources.use(await RedisServer.start({ appendonly: true }));
  const fields = { service: 'string', key: 'secret', note: 'string' };
  const { note: _, ...without } = fields;
  const server = resources.use(
    await VaultServer.start({
      config: {
        redis: { encryptCredentialDatabase: true, socket: redis.socketPath as string },
        ...collections(fields),
      },
    }),
  );
  const cli = resources.use(new VaultCli());
  await cli.succeed(['register', server.url, TEST_ADMIN.email], `${TEST_ADMIN.password}\n`);
  const id = await cli.succeed(
    ['apikey.add', 'service=mail', 'note=MARKER of a note', 'key=-'],
    'MARKER of a key',
  );

  await server.restart(collections(without));
  expect(server.state).toBe('degraded');
  expect(server.stderr).toMatch(
    /ERROR Credential database cannot be opened.*in 1 of "apikey" the field "note" is not in the configuration any more.*dropFields = true in \[collections\.apikey\]/,
  );

  await server.restart(collections(without, { dropFields: true }));
  expect(server.state).toBe('ready');
  const name = readdirSync(server.dataDir).find((file) => file.startsWith('dropped-fields')) ?? '';
  expect(server.stderr).toContain(join(server.dataDir, name));
  expect(readFileSync(join(server.dataDir, name), 'utf8')).toMatch(/"of":"encrypted"(?!.*MARKER)/s);

  await cli.succeed(['apikey.set', `id=${id.trim().replaceAll('"', '')}`, 'service=other']);
  const exported = cli.folder.join('config.pgp');
  await cli.succeed(['system.exportConfig', 'passphrase=-', `@=${exported}`], PASSPHRASE);
  await cli.succeed(['system.importConfig', 'passphrase=-', `@=${exported}`], PASSPHRASE);
  expect(await cli.succeed(['apikey.getAll', '--json'])).toContain('"service": "other"');
  expect((await server.run(['verify'])).status).toBe(0);
  expect(server.allOutput).not.toContain('MARKER');

  // Dropped values can be looked at, under the old fields, in a place of their own.
  const beside = resources.use(
    await VaultServer.prepare({
      config: {
        redis: {
          encryptCredentialDatabase: true,
          socket: redis.socketPath as string,
          prefix: 'beside',
        },
        keystore: {
          halfA: { source: 'file', path: join(server.folder, 'half-a') },
          halfB: { source: 'file', path: join(server.dataDir, 'vault-encryption-key') },
        },
        ...collections(fields),
      },
    }),
  );
  const file = join(server.dataDir, name);
  const restored = await beside.run(['restore-migration-backup', file, '--yes']);
  expect(restored).toMatchObject({ status: 0, stdout: expect.stringContaining('1 records') });
  expect((await beside.run(['verify'])).stdout).toMatch(/Sound: 1 records/);
});
