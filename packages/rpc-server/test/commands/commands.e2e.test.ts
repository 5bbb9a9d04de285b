/** The binary as an operator runs it. Reads `dist`: build first. */
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { TomlTable } from 'smol-toml';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { findFreePort } from '../../../../test/harness/free-port.js';
import { runProgram } from '../../../../test/harness/program.js';
import type { ProgramResult } from '../../../../test/harness/program.js';
import { RedisServer } from '../../../../test/harness/redis.js';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { VaultServer } from '../../../../test/harness/vault-server.js';
import { InstanceIdentity } from '../../src/instance-identity.js';
import { COMMANDS } from '../../src/commands/command-table.js';

const BINARY = new URL('../../bin/vault-server.js', import.meta.url).pathname;
const ENCRYPTED = { redis: { encryptCredentialDatabase: true } };

// Several starts of a process each, on a machine that may be busy.
jest.setTimeout(60_000);

const resources = new Resources();
afterEach(() => resources.stop());

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<ProgramResult> {
  return runProgram(process.execPath, [BINARY, ...args], {
    env: { PATH: process.env['PATH'], ...env },
  });
}

describe('vault-server --help', () => {
  it('shows every command, a first run and the exit statuses', async () => {
    const { status, stdout } = await run(['--help']);
    expect(status).toBe(0);
    const names = COMMANDS.map(({ names: [name] }) => name);
    for (const name of names) expect(stdout).toContain(`vault-server ${name}`);
    expect(stdout).toContain('A first run:');
    expect(stdout).toContain('Exit status:');
  });

  it.each(COMMANDS.map(({ names: [name = ''] }) => name))(
    'explains %s with an example',
    async (name) => {
      const { status, stdout } = await run([name, '--help']);
      expect(status).toBe(0);
      expect(stdout).toContain('Examples:');
    },
  );

  it('has a version and a completion script', async () => {
    const { version } = JSON.parse(
      readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
    ) as { version: string };
    expect((await run(['--version'])).stdout).toBe(`${version}\n`);
    expect((await run(['completion'])).stdout).toContain('vault-server');
  });
});

describe('a wrong command line', () => {
  it.each([
    [['nonsense'], /Unknown (?:argument|command): nonsense/],
    [['start', '--nonsense'], /Unknown argument: nonsense/],
    [['start', '--config', '/no/such.toml'], /no configuration file found.*vault-server init/],
    [[], /no configuration file found \(looked for \/etc\/vault-server\/config\.toml\)/],
  ])('%j is refused with status 2, and nothing on standard output', async (args, message) => {
    const { status, stdout, stderr } = await run(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

describe('vault-server init', () => {
  it('writes a commented configuration with encryption on, for its owner alone, that the server takes', async () => {
    const folder = resources.use(new TemporaryFolder('vault-init'));
    const config = folder.join('etc', 'config.toml');
    const args = ['--config', config, '--datadir', folder.join('data')];
    const { status, stdout } = await run(['init', ...args]);
    expect(status).toBe(0);
    expect(stdout).toContain(`vault-server --config ${config}`);
    expect(statSync(config).mode & 0o777).toBe(0o600);
    const text = readFileSync(config, 'utf8');
    expect(text).toMatch(/^encryptCredentialDatabase = true$/m);
    expect(text).toMatch(/^halfA = \{ source = /m);
    expect((await run(['verify', ...args])).stderr).not.toContain('config.toml:');
  });

  it('never overwrites', async () => {
    const folder = resources.use(new TemporaryFolder('vault-init'));
    const config = folder.join('config.toml');
    writeFileSync(config, '# mine\n');
    const { status, stderr } = await run(['init', '--config', config]);
    expect(status).toBe(2);
    expect(stderr).toContain('is there already: it is left as it is');
    expect(readFileSync(config, 'utf8')).toBe('# mine\n');
  });

  it('goes where the server looks when it is told no place', async () => {
    const folder = resources.use(new TemporaryFolder('vault-init'));
    // As root it would write to /etc: that is not tried here.
    const env = { XDG_CONFIG_HOME: folder.path };
    const args =
      process.getuid?.() === 0 ? ['--config', folder.join('vault-server/config.toml')] : [];
    expect((await run(['init', ...args], env)).status).toBe(0);
    expect(statSync(folder.join('vault-server/config.toml')).isFile()).toBe(true);
  });
});

describe('vault-server', () => {
  it('keeps the password of the first administrator in a file for its owner, prints it to no journal, and stops with 0', async () => {
    const server = resources.use(
      await VaultServer.start({
        config: ENCRYPTED,
        env: { VAULT_ADMIN_EMAIL: '', VAULT_ADMIN_PASSWORD: '' },
      }),
    );
    expect(server.state).toBe('ready');
    expect(server.stdout.match(/npx vault-cli /g)).toHaveLength(3);
    const file = join(server.dataDir, 'initial-password');
    expect(server.stdout).toContain(`  password  in ${file}, until you delete that file\n`);
    const password = readFileSync(file, 'utf8').trimEnd();
    expect(password).toHaveLength(24);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(server.dataDir).mode & 0o777).toBe(0o700);
    expect(server.allOutput).not.toContain(password);

    expect(await server.terminate()).toEqual({ status: 0, signal: null });
    await server.launch();
    expect(server.stdout).toBe(`vault-server ready on ${server.url}\n`);
  });

  it('stops its Redis with it, and finds the same data again after SIGKILL', async () => {
    const server = resources.use(await VaultServer.start({ config: ENCRYPTED }));
    const before = await statusOf(server);
    await server.kill();
    await server.launch();
    expect((await statusOf(server)).database.databaseId).toBe(before.database.databaseId);
    await server.terminate();
    const log = readFileSync(join(server.dataDir, 'redis', 'redis.log'), 'utf8');
    expect(log.trimEnd().split('\n').at(-1)).toMatch(/Redis is now ready to exit, bye bye/);
  });

  it.each<[TomlTable, string]>([
    [{ halfA: { source: 'fil', path: '/half-a' } }, 'keystore.halfA'],
    [{ halfB: { source: 'file', paht: '/half-b' } }, 'keystore.halfB'],
    [
      { halfA: { source: 'file', path: '/one' }, halfB: { source: 'file', path: '/one' } },
      'both halves are configured at one place',
    ],
  ])(
    'starts nothing under a keystore option that is not right: status 2, %j',
    async (keystore, message) => {
      const config = { ...ENCRYPTED, keystore };
      const server = resources.use(await VaultServer.prepare({ config }));
      for (const command of ['start', 'status']) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        const { status, stdout, stderr } = await server.run([command]);
        expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
        expect(stderr).toContain(message);
      }
      expect(existsSync(server.dataDir)).toBe(false);
    },
  );

  it('says that its address is in use', async () => {
    const first = resources.use(await VaultServer.start({ config: ENCRYPTED }));
    const { status, stderr } = await first.run(['start']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/is in use: a server runs there already.*stop it first/);
  });

  it('is degraded, up and telling why, when its Redis cannot be reached', async () => {
    const redis = { encryptCredentialDatabase: true, url: 'redis://127.0.0.1:1' };
    const server = resources.use(await VaultServer.start({ config: { redis } }));
    expect(server.state).toBe('degraded');
    const ready = await fetch(`${server.url}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({ mode: 'degraded', reason: 'redisUnusable' });
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(server.stderr).toMatch(
      /vault:crypto-credentials ERROR Redis cannot be used - running in degraded mode \{ cause: /,
    );
    expect(await server.terminate()).toEqual({ status: 0, signal: null });
  });

  it('is degraded when redis-server is not installed, and says how to install it', async () => {
    const redis = { encryptCredentialDatabase: true, server: 'no-such-redis-server' };
    const server = resources.use(await VaultServer.start({ config: { redis } }));
    expect(server.state).toBe('degraded');
    expect(server.stderr).toContain('apt-get install redis-server');
  });
});

describe('vault-server status', () => {
  it('shows server, database and halves', async () => {
    const server = resources.use(await VaultServer.start({ config: ENCRYPTED }));
    const { status, stdout } = await server.run(['status']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/mode +serving/);
    expect(stdout).toMatch(/state +encrypted/);
    expect(stdout).toMatch(/half A +found: file/);
    expect(stdout).toContain('Both halves');
    const halfB = readFileSync(join(server.dataDir, 'vault-encryption-key'), 'utf8');
    expect(stdout).not.toContain(halfB.trim().slice(-64));
  });

  it('works in degraded mode: which half is missing, which key is needed, and status 1', async () => {
    const server = resources.use(await VaultServer.start({ config: ENCRYPTED }));
    const { database } = await statusOf(server);
    await server.terminate();
    const halfA = join(server.folder, 'half-a');
    const kept = readFileSync(halfA);
    rmSync(halfA, { force: true });
    await server.launch();
    expect(server.state).toBe('degraded');
    expect(server.stderr).toContain(
      'vault:crypto-credentials ERROR Only one encryption key half found - running in degraded mode',
    );
    const { status, stdout } = await server.run(['status', '--json']);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      server: { mode: 'degraded', reason: 'oneHalf' },
      halves: { state: 'one' },
      degraded: { reason: 'oneHalf', details: { neededKeyId: database.activeKeyId } },
    });

    writeFileSync(halfA, kept, { mode: 0o400 });
    await server.restart();
    expect(server.state).toBe('ready');
  });

  it('asks a server on another port when it is told which, and says so when it was not', async () => {
    const server = resources.use(await VaultServer.prepare({ config: ENCRYPTED }));
    const port = await findFreePort();
    const elsewhere = resources.use(
      await VaultServer.prepare({
        config: ENCRYPTED,
        folder: server.folder,
        args: ['start', '--port', String(port)],
      }),
    );
    await elsewhere.launch();
    const { stdout } = await server.run(['status']);
    expect(stdout).toMatch(
      /mode +no answer \(where it was started with --port, give that to status/,
    );
    const told = (await server.run(['status', '--port', String(port)])).stdout;
    expect(told).toMatch(/mode +serving/);
    expect(told).toContain(`url           http://127.0.0.1:${port}\n`);
  });

  it('does not take the answer of another server on that port for that of its own, status 1', async () => {
    const other = resources.use(await VaultServer.start({ config: ENCRYPTED }));
    const config = { ...ENCRYPTED, http: { listen: new URL(other.url).host } };
    const own = resources.use(await VaultServer.prepare({ config }));
    // The first time there is nothing to tell them apart by: it never ran.
    for (const _ of [1, 2]) {
      // oxlint-disable no-await-in-loop -- one after the other
      const { status, stdout } = await own.run(['status']);
      expect(stdout).toMatch(/mode +another server than that of this data folder/);
      expect(stdout).not.toMatch(/serving/);
      expect(status).toBe(1);
      mkdirSync(own.dataDir, { recursive: true });
      await InstanceIdentity.ensure(own.dataDir);
      // oxlint-enable no-await-in-loop
    }
    expect((await statusOf(other)).database.databaseId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('does not believe a program that says what a server says', async () => {
    const liar = createServer((_request, response) => {
      response.setHeader('vault-instance-proof', 'A'.repeat(43));
      response.end('{"mode":"serving","instance":"0123456789abcdef"}');
    });
    liar.listen(0, '127.0.0.1');
    await once(liar, 'listening');
    try {
      const { port } = liar.address() as AddressInfo;
      const config = { ...ENCRYPTED, http: { listen: `127.0.0.1:${port}` } };
      const own = resources.use(await VaultServer.prepare({ config }));
      mkdirSync(own.dataDir, { recursive: true });
      await InstanceIdentity.ensure(own.dataDir);
      expect((await own.run(['status'])).stdout).toMatch(/mode +another server/);
    } finally {
      liar.close();
    }
  });

  it('says that the server serves another database than the configuration names by now', async () => {
    const redis = resources.use(await RedisServer.start({}));
    const table = { encryptCredentialDatabase: true, socket: redis.socketPath as string };
    const config = { redis: table };
    const server = resources.use(await VaultServer.start({ config }));
    const { databaseId } = (await statusOf(server)).database;
    const second = resources.use(
      await VaultServer.start({ config: { ...config, redis: { ...table, prefix: 'second' } } }),
    );
    await second.terminate();
    cpSync(join(server.dataDir, 'instance'), join(second.dataDir, 'instance'));
    const { status, stdout } = await second.run(['status', '--port', new URL(server.url).port]);
    expect(stdout).toContain(
      `serving, but database ${databaseId}, not the one of this configuration`,
    );
    expect(status).toBe(1);
  });

  it('works when no server runs, and leaves no Redis behind', async () => {
    const server = resources.use(await VaultServer.start({ config: ENCRYPTED }));
    await server.terminate();
    const { status, stdout } = await server.run(['status', '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      server: { mode: 'no answer' },
      database: { state: 'encrypted' },
    });
    const log = readFileSync(join(server.dataDir, 'redis', 'redis.log'), 'utf8');
    expect(log.trimEnd().split('\n').at(-1)).toMatch(/bye bye/);
  });
});

describe('vault-server verify', () => {
  it('finds a sound database sound, with status 0', async () => {
    const server = resources.use(await VaultServer.start({ config: ENCRYPTED }));
    const { status, stdout } = await server.run(['verify']);
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: 'Sound: 1 records and 3 index entries were checked.\n',
    });
  });

  it('names a record that was tampered with, by collection, id and reason, with status 1', async () => {
    const redis = resources.use(await RedisServer.start());
    const config = {
      redis: { encryptCredentialDatabase: true, socket: redis.socketPath as string },
    };
    const server = resources.use(await VaultServer.start({ config }));
    const client = redis.client();
    const [key = ''] = await client.keys('vault:{user}:r:*');
    const envelope = (await client.getBuffer(key)) ?? Buffer.alloc(0);
    envelope[envelope.length - 1] = (envelope.at(-1) ?? 0) ^ 1;
    await client.set(key, envelope);

    const { status, stdout } = await server.run(['verify']);
    expect(status).toBe(1);
    expect(stdout).toContain(`user ${key.split(':').at(-1)}: unreadable (tampered)`);
    const report = JSON.parse((await server.run(['verify', '--json'])).stdout) as unknown;
    expect(report).toMatchObject({ isSound: false, counts: { unreadable: 1 } });
  });

  it('opens nothing without the keys', async () => {
    const server = resources.use(await VaultServer.start({ config: ENCRYPTED }));
    await server.terminate();
    const half = join(server.dataDir, 'vault-encryption-key');
    chmodSync(half, 0o644);
    const { status, stderr } = await server.run(['verify']);
    expect(status).toBe(1);
    expect(stderr).toContain('running in degraded mode');
  });
});

describe('vault-server repair-indexes', () => {
  it('mends what verify finds in an id list', async () => {
    const redis = resources.use(await RedisServer.start());
    const socket = redis.socketPath as string;
    const config = { redis: { encryptCredentialDatabase: true, socket } };
    const server = resources.use(await VaultServer.start({ config }));
    await redis.client().del('vault:{user}:ids');
    expect((await server.run(['verify'])).status).toBe(1);

    const { status, stdout } = await server.run(['repair-indexes']);
    expect({ status, stdout }).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^Mended:/),
    });
    expect((await server.run(['verify'])).status).toBe(0);
    expect((await server.run(['repair-indexes'])).stdout).toBe('Nothing was to be mended.\n');
  });
});

describe('vault-server accept-database', () => {
  it('is what brings a server back whose Redis was emptied, and does nothing without --yes', async () => {
    const redis = resources.use(await RedisServer.start());
    const socket = redis.socketPath as string;
    const config = { redis: { encryptCredentialDatabase: true, socket } };
    const server = resources.use(await VaultServer.start({ config }));
    const before = await statusOf(server);
    await server.terminate();
    await redis.client().flushall();
    await server.launch();
    expect(server.state).toBe('degraded');
    expect(server.stderr).toContain('accept-database');

    expect((await server.run(['accept-database'])).status).toBe(2);
    await server.restart();
    expect(server.state).toBe('degraded');

    const { status, stdout } = await server.run(['accept-database', '--yes']);
    expect(status).toBe(0);
    expect(stdout).toContain('Now restart the server.');
    await server.restart();
    expect(server.state).toBe('ready');
    expect((await statusOf(server)).database.databaseId).not.toBe(before.database.databaseId);
  });
});

interface Status {
  readonly database: { readonly databaseId: string; readonly activeKeyId: string };
}

async function statusOf(server: VaultServer): Promise<Status> {
  return JSON.parse((await server.run(['status', '--json'])).stdout) as Status;
}
