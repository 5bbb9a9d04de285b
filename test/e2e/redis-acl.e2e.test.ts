/** The least rights on Redis that docs/redis.md names: a server lives its whole life with them, and uses each of them. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TomlTable } from 'smol-toml';
import { documentedAcl } from '../harness/documented-acl.js';
import { RedisServer } from '../harness/redis.js';
import { Resources } from '../harness/resources.js';
import { VaultCli } from '../harness/vault-cli.js';
import { TEST_ADMIN, VaultServer } from '../harness/vault-server.js';

const STORE = join(import.meta.dirname, '../../packages/redis-store');
const PASSWORD = 'password-of-the-Redis-user';
const PASSPHRASE = 'a passphrase of the backup';

const resources = new Resources();
afterEach(() => resources.stop());

function documentedCommands(): readonly string[] {
  const commands = documentedAcl(PASSWORD).filter((rule) => rule.startsWith('+'));
  return commands.map((rule) => rule.slice(1));
}

/** All that the store is made of: TypeScript and Lua. */
function readSources(): string {
  return ['src', 'lua']
    .flatMap((folder) =>
      readdirSync(join(STORE, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8')),
    )
    .join('\n');
}

/** A Redis whose default user is off, and a server that signs in as `vault` with these rules. */
async function prepare(rules: readonly string[]): Promise<{
  admin: ReturnType<RedisServer['client']>;
  server: VaultServer;
  redis: (isOn: boolean) => TomlTable;
}> {
  const redis = resources.use(
    await RedisServer.start({
      listen: 'tcp',
      appendonly: true,
      config: ['user admin on >admin ~* &* +@all'],
    }),
  );
  const admin = redis.client({ username: 'admin', password: 'admin' });
  await admin.call('ACL', 'SETUSER', 'vault', ...rules);
  await admin.call('ACL', 'SETUSER', 'default', 'off');
  await admin.set('other:application', 'untouched');
  const server = resources.use(await VaultServer.prepare());
  const passwordFile = join(server.folder, 'redis-password');
  writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
  const table = (isOn: boolean): TomlTable => ({
    redis: {
      url: `redis://127.0.0.1:${redis.port}/0`,
      username: 'vault',
      passwordFile,
      encryptCredentialDatabase: isOn,
    },
  });
  return { admin, server, redis: table };
}

/** Commands and subcommands that were called, and how often one was refused. */
async function usedCommands(
  admin: ReturnType<RedisServer['client']>,
): Promise<{ used: ReadonlySet<string>; refused: readonly string[] }> {
  const stats = await admin.info('commandstats');
  const rows = [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+).*rejected_calls=(\d+)/gm)];
  return {
    used: new Set(rows.filter(([, , calls]) => calls !== '0').map(([, name = '']) => name)),
    refused: rows.filter(([, , , rejected]) => rejected !== '0').map(([, name = '']) => name),
  };
}

describe('a Redis user with the rights of docs/redis.md', () => {
  test('is enough for start, encrypt, write, find, verify, repair, rotate, backup, recovery and decrypt', async () => {
    const { admin, server, redis } = await prepare(documentedAcl(PASSWORD));
    const cli = resources.use(new VaultCli());
    const register = (): Promise<string> =>
      cli.succeed(['register', server.url, TEST_ADMIN.email], `${TEST_ADMIN.password}\n`);
    const call = (...args: readonly string[]): Promise<string> =>
      cli.succeed(args, `${PASSPHRASE}\n`);
    const expectReady = (): void => {
      if (server.state !== 'ready') throw new Error(server.stderr);
    };
    await admin.config('RESETSTAT');

    server.configure(redis(false));
    await server.launch();
    expectReady();
    await register();
    const added = await call('server.add', 'host=xcp1', 'username=root', 'password=-');
    await call('server.add', 'host=xcp2', 'username=root', 'password=-');
    await server.restart(redis(true));
    expectReady();
    await call('server.set', `id=${added.trim()}`, 'label=lab');
    expect(await call('server.getAll', 'filter=json:{"label":"LAB"}')).toContain('xcp1');
    await call('server.remove', `id=${added.trim()}`);
    const backup = cli.folder.join('backup.pgp');
    await call('system.exportConfig', 'passphrase=-', `@=${backup}`);
    await call('system.importConfig', 'passphrase=-', `@=${backup}`);
    await call('encryption.rotateKeys');
    await call('encryption.deleteInactiveKeys');
    for (const command of ['verify', 'repair-indexes']) {
      const { status, stderr } = await server.run([command]);
      expect([command, status, stderr]).toEqual([command, 0, '']);
    }
    expect(JSON.parse(await call('encryption.getStatus', '--json'))).toMatchObject({
      redisWarnings: [],
      processes: [{ role: 'server' }],
    });

    // A lost half, and the recovery from it.
    await server.terminate();
    writeFileSync(join(server.folder, 'half-a'), '');
    server.setEnvironment({ VAULT_RECOVERY_PASSWORD: 'a recovery password' });
    await server.spawn().waitForOutput(/^vault-server recovery on/m);
    const recovery = ['--url', server.recoveryUrl, '--user', 'recovery', 'system.importConfig'];
    await cli.succeed(
      [...recovery, 'passphrase=-', `@=${backup}`],
      `a recovery password\n${PASSPHRASE}\n`,
    );
    await server.terminate();

    server.setEnvironment({ VAULT_RECOVERY_PASSWORD: '' });
    server.configure(redis(false));
    await server.launch();
    expectReady();
    await register();
    expect(await call('server.getAll')).toContain('xcp2');
    expect(JSON.parse(await call('encryption.getStatus', '--json'))).toMatchObject({
      state: 'plaintext',
      keptKeysBecause: null,
    });

    expect(await admin.get('other:application')).toBe('untouched');
    const { used, refused } = await usedCommands(admin);
    expect(refused).toEqual([]);
    // What the life above had no occasion for must at least be a command of the sources.
    const sources = readSources();
    const needless = documentedCommands().filter(
      (command) =>
        !used.has(command) && !sources.includes(`'${command.replace('|', "', '").toUpperCase()}'`),
    );
    expect(needless).toEqual([]);
    // Six starts of the server and a dozen of the CLI.
  }, 180_000);

  test.each(['evalsha', 'mget', 'zrangebylex', 'info'])(
    'is not enough without %s: degraded, and the log points to that page',
    async (command) => {
      const { server, redis } = await prepare([...documentedAcl(PASSWORD), `-${command}`]);
      server.configure(redis(true));
      await server.launch();
      expect(server.state).toBe('degraded');
      expect(server.stderr).toContain(
        'the user may not do this; see the ACL line in docs/redis.md',
      );
    },
  );
});
