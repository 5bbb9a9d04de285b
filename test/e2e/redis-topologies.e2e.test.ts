/** The server on the Redis that users have: a cluster, and TLS with client certificates. The store's own tests have more. */
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import type { TomlTable } from 'smol-toml';
import { documentedAcl, documentedClusterAcl } from '../harness/documented-acl.js';
import { RedisCluster } from '../harness/redis-cluster.js';
import { RedisServer } from '../harness/redis.js';
import { JsonRpcWebSocketClient } from '../harness/registry-clients.js';
import { Resources } from '../harness/resources.js';
import { TemporaryFolder } from '../harness/temporary-folder.js';
import { TlsFiles } from '../harness/tls.js';
import { TEST_ADMIN, VaultServer } from '../harness/vault-server.js';

const RECORDS = 60;
/** Sixteen partitions, spread over the slots of a cluster. */
const COLLECTIONS = {
  apikey: {
    partitions: 16,
    fields: { service: 'string', key: 'secret' },
    indexes: { service: 'exact' },
  },
};

// Many starts of real programs, on a machine that may be busy.
jest.setTimeout(180_000);

const resources = new Resources();
afterEach(() => resources.stop());

type Call = (method: string, params?: object) => Promise<unknown>;

async function signedIn<T>(server: VaultServer, use: (call: Call) => Promise<T>): Promise<T> {
  const client = new JsonRpcWebSocketClient(server.webSocketUrl);
  await client.open();
  try {
    await client.call('session.signIn', TEST_ADMIN);
    return await use((method, params) => client.call(method, params));
  } finally {
    await client.close();
  }
}

/** Plaintext, encrypted, rotated, plaintext again: every record is found by its index each time. */
async function liveOn(address: TomlTable, dump: () => Promise<string>): Promise<void> {
  const redis = (isOn: boolean): TomlTable => ({
    redis: { ...address, encryptCredentialDatabase: isOn },
  });
  const server = resources.use(
    await VaultServer.start({ config: { ...redis(false), collections: COLLECTIONS } }),
  );
  const expectAll = (state: string): Promise<void> =>
    signedIn(server, async (call) => {
      const filter = { service: 'MAIL' };
      expect(await call('apikey.getAll', { filter })).toHaveLength(RECORDS / 2);
      expect(await call('encryption.verify')).toMatchObject({ isSound: true });
      expect(await call('encryption.getStatus')).toMatchObject({
        state,
        collections: { apikey: RECORDS },
      });
      expect((await dump()).includes('key number 7')).toBe(state === 'plaintext');
    });
  await signedIn(server, async (call) => {
    for (let n = 0; n < RECORDS; n += 1) {
      await call('apikey.add', { service: n % 2 === 0 ? 'mail' : 'ldap', key: `key number ${n}` });
    }
  });
  await expectAll('plaintext');
  await server.restart(redis(true));
  await expectAll('encrypted');
  await signedIn(server, (call) => call('encryption.rotateKeys'));
  await expectAll('encrypted');
  await server.restart(redis(false));
  await expectAll('plaintext');
}

/** Names and string values of a Redis. */
async function stringsOf(servers: readonly RedisServer[]): Promise<string> {
  const found: string[] = [];
  for (const server of servers) {
    const client = server.client();
    for (const key of await client.keys('*')) {
      const value = (await client.type(key)) === 'string' ? await client.getBuffer(key) : null;
      found.push(key, value?.toString('latin1') ?? '');
    }
    client.disconnect();
  }
  return found.join('\n');
}

describe('vault-server', () => {
  test('on a Redis Cluster, one collection in 16 partitions, with the rights of docs/redis.md', async () => {
    const acl = [...documentedAcl('of-vault'), ...documentedClusterAcl()].join(' ');
    const cluster = resources.use(
      await RedisCluster.start({ appendonly: true, config: [`user vault ${acl}`] }),
    );
    const passwordFile = resources.use(new TemporaryFolder()).join('redis-password');
    writeFileSync(passwordFile, 'of-vault\n', { mode: 0o600 });
    await liveOn({ cluster: cluster.addresses, username: 'vault', passwordFile }, () =>
      stringsOf(cluster.masters),
    );
    const perMaster = await Promise.all(
      cluster.masters.map((master) => master.client().keys('vault:{apikey.*}:ids')),
    );
    // Ids are random: a partition or two may have got none.
    expect(perMaster.flat().length).toBeGreaterThan(8);
    expect(perMaster.filter((keys) => keys.length > 0).length).toBeGreaterThan(1);
  });

  test('over TLS with a client certificate', async () => {
    const tls = resources.use(await TlsFiles.create());
    const redis = resources.use(
      await RedisServer.start({ listen: 'tcp', tls, appendonly: true, password: 'of-redis' }),
    );
    const { caFile, clientCertFile, clientKeyFile } = tls;
    const files = { tlsCa: caFile, tlsCert: clientCertFile, tlsKey: clientKeyFile };
    const life = liveOn({ url: redis.url, ...files }, () => stringsOf([redis]));
    await expect(life).resolves.toBeUndefined();
  });

  test('without the client certificate that Redis wants it is degraded, and says so', async () => {
    const tls = resources.use(await TlsFiles.create());
    const redis = resources.use(await RedisServer.start({ listen: 'tcp', tls }));
    const server = resources.use(
      await VaultServer.start({ config: { redis: { url: redis.url, tlsCa: tls.caFile } } }),
    );
    expect(server.state).toBe('degraded');
    expect(server.stderr).toMatch(/ERROR .* - running in degraded mode \{ cause: 'Redis cannot be/);
  });
});
