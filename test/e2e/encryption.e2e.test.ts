import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { JsonRpcWebSocketClient } from '../harness/registry-clients.js';
import { Resources } from '../harness/resources.js';
import { TEST_ADMIN, VaultServer } from '../harness/vault-server.js';
import { Xenstored } from '../harness/xenstored.js';

const SERVERS = 25;
const HALF_A = 'vm-data/vault-encryption-key';

let resources: Resources;
let xenstored: Xenstored;
let server: VaultServer;

beforeEach(async () => {
  resources = new Resources();
  xenstored = resources.use(await Xenstored.start());
  server = resources.use(
    await VaultServer.start({
      env: { XENSTORED_PATH: xenstored.socketPath },
      config: {
        keystore: { halfA: { source: 'xenstore', path: HALF_A }, halfB: { source: 'file' } },
        redis: { encryptCredentialDatabase: false },
      },
    }),
  );
});
afterEach(() => resources.stop());

/** What was given to the server and must not be found in clear once it is encrypted. */
const markers = {
  host: (n: number): string => `xcp-${n}.pool.example.net`,
  username: 'operator-of-the-pool',
  password: (n: number): string => `pa55-phrase-number-${n}`,
  remote: 'smb://backup:s3cret-share@nas.example.net/vault',
  email: 'alice@example.com',
};
const ALL_MARKERS = [
  ...Array.from({ length: SERVERS }, (_, n) => [markers.host(n), markers.password(n)]).flat(),
  markers.username,
  markers.remote,
  markers.email,
  TEST_ADMIN.email,
];

type Call = (method: string, params?: object) => Promise<unknown>;

/** Runs `use` with a connection that the administrator has signed in on. */
async function signedIn<T>(use: (call: Call) => Promise<T>): Promise<T> {
  const client = new JsonRpcWebSocketClient(server.webSocketUrl);
  await client.open();
  try {
    await client.call('session.signIn', TEST_ADMIN);
    return await use((method, params) => client.call(method, params));
  } finally {
    await client.close();
  }
}

function addRecords(): Promise<void> {
  return signedIn(async (call) => {
    for (let n = 0; n < SERVERS; n += 1) {
      const { username } = markers;
      await call('server.add', { host: markers.host(n), username, password: markers.password(n) });
    }
    await call('remote.add', { name: 'nas', url: markers.remote });
    const password = 'a password of alice';
    await call('user.create', { email: markers.email, permission: 'read', password });
  });
}

/** Everything that the API tells of the records, by every road that uses an index. */
function readRecords(): Promise<unknown> {
  return signedIn(async (call) => {
    const filter = { host: markers.host(7).toUpperCase() };
    const [found] = (await call('server.getAll', { filter })) as [{ id: string }];
    const username = markers.username;
    const byUsername = await call('server.getAll', { filter: { username } });
    expect(byUsername).toHaveLength(SERVERS);
    const revealed = await call('server.reveal', { id: found.id });
    expect(revealed).toMatchObject({ host: markers.host(7), password: markers.password(7) });
    const methods = ['server.getAll', 'remote.getAll', 'user.getAll'];
    const all = await Promise.all(methods.map((method) => call(method)));
    return [revealed, byUsername, ...all];
  });
}

/** Files of the folder, and of all below it, that hold one of the texts. */
function filesHolding(folder: string, texts: readonly string[]): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const bytes = readFileSync(path);
      return texts.some((text) => bytes.includes(Buffer.from(text)));
    });
}

/** Keys of Redis whose name or value holds one of the texts, whatever their type. */
async function keysHolding(texts: readonly string[]): Promise<string[]> {
  const redis = new Redis({ path: join(server.dataDir, 'redis/redis.sock') });
  try {
    const keys = await redis.keys('*');
    const holding = await Promise.all(
      keys.map(async (key) => {
        const read = {
          string: () => redis.getBuffer(key),
          set: () => redis.smembers(key),
          zset: () => redis.zrange(key, '0', '-1'),
        };
        const type = (await redis.type(key)) as keyof typeof read;
        const value = await read[type]();
        const text = `${key} ${Buffer.isBuffer(value) ? value.toString('latin1') : String(value)}`;
        return texts.some((marker) => text.includes(marker)) ? [key] : [];
      }),
    );
    expect(keys.length).toBeGreaterThan(SERVERS);
    return holding.flat();
  } finally {
    redis.disconnect();
  }
}

const halfBPath = (): string => join(server.dataDir, 'vault-encryption-key');
const encryption = (isOn: boolean): { redis: { encryptCredentialDatabase: boolean } } => ({
  redis: { encryptCredentialDatabase: isOn },
});

describe('a database with records', () => {
  test('is encrypted at a restart without a trace in clear, and decrypted again at another', async () => {
    await addRecords();
    const before = await readRecords();
    expect(filesHolding(server.dataDir, ALL_MARKERS)).not.toEqual([]);
    expect(await keysHolding(ALL_MARKERS)).not.toEqual([]);

    await server.restart(encryption(true));
    expect(server.state).toBe('ready');
    expect(await readRecords()).toEqual(before);
    expect(await keysHolding(ALL_MARKERS)).toEqual([]);
    expect(filesHolding(server.dataDir, ALL_MARKERS)).toEqual([]);
    expect(readdirSync(server.dataDir).filter((name) => /backup|manifest|tmp/.test(name))).toEqual(
      [],
    );
    expect(statSync(halfBPath()).mode & 0o777).toBe(0o400);
    const halfA = await xenstored.cli('read', [HALF_A]);
    expect(halfA.stdout).toMatch(/^[0-9a-f]{16}:[0-9a-f]{64}\n$/);
    expect(readFileSync(halfBPath(), 'utf8').split(':')[0]).toBe(halfA.stdout.split(':')[0]);
    expect((await server.run(['verify'])).status).toBe(0);

    // Encrypted it stays: another start has nothing to do.
    await server.restart();
    expect(await readRecords()).toEqual(before);

    await server.restart(encryption(false));
    expect(server.state).toBe('ready');
    expect(await readRecords()).toEqual(before);
    expect(await keysHolding(ALL_MARKERS)).not.toEqual([]);
    expect(existsSync(halfBPath()) && readFileSync(halfBPath(), 'utf8') !== '').toBe(false);
    expect((await xenstored.cli('read', [HALF_A])).stdout.trim()).toBe('');
    const output = server.allOutput;
    for (const secret of [markers.password(7), markers.remote, halfA.stdout.slice(17, 81)]) {
      expect(output).not.toContain(secret);
    }
  });

  test('is decrypted too when the setting is taken out', async () => {
    await addRecords();
    const before = await readRecords();
    await server.restart(encryption(true));
    await server.restart({ redis: {} });
    expect(server.state).toBe('ready');
    expect(await readRecords()).toEqual(before);
    expect(await keysHolding(ALL_MARKERS)).not.toEqual([]);
  });
});
