import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { JsonRpcWebSocketClient } from '../harness/registry-clients.js';
import { RedisServer } from '../harness/redis.js';
import { Resources } from '../harness/resources.js';
import { TEST_ADMIN, VaultServer } from '../harness/vault-server.js';
import { Xenstored } from '../harness/xenstored.js';

const HALF_A = 'vm-data/vault-encryption-key';
/** The code of protocol.ts for every call to a degraded server. */
const DEGRADED = -32001;
const FOREIGN_LINE = `0123456789abcdef:${'5a'.repeat(32)}\n`;

const resources = new Resources();
let redis: RedisServer;
let xenstored: Xenstored;
let server: VaultServer;
let halfA: string;
let halfB: string;

beforeAll(async () => {
  xenstored = resources.use(await Xenstored.start());
  redis = resources.use(await RedisServer.start({ appendonly: true }));
  server = resources.use(
    await VaultServer.start({
      env: { XENSTORED_PATH: xenstored.socketPath },
      config: {
        keystore: { halfA: { source: 'xenstore', path: HALF_A }, halfB: { source: 'file' } },
        redis: settings(true),
      },
    }),
  );
  await call('server.add', { host: 'xcp1', username: 'root', password: 'kept secret' });
  halfA = (await xenstored.cli('read', [HALF_A])).stdout.trim();
  halfB = readFileSync(halfBPath(), 'utf8');
});
afterAll(() => resources.stop());

const settings = (isOn: boolean): { socket: string; encryptCredentialDatabase: boolean } => ({
  socket: redis.socketPath as string,
  encryptCredentialDatabase: isOn,
});
const halfBPath = (): string => join(server.dataDir, 'vault-encryption-key');

/** One call of the administrator. */
async function call(method: string, params?: object): Promise<unknown> {
  const client = new JsonRpcWebSocketClient(server.webSocketUrl);
  await client.open();
  try {
    await client.call('session.signIn', TEST_ADMIN);
    return await client.call(method, params);
  } finally {
    await client.close();
  }
}

const change = {
  removeA: () => xenstored.cli('rm', [HALF_A]),
  foreignA: () => xenstored.cli('write', [HALF_A, FOREIGN_LINE.trim()]),
  stopXenstored: () => xenstored.kill(),
  removeB: () => rmSync(halfBPath()),
  writeB: (text: string) => {
    rmSync(halfBPath(), { force: true });
    writeFileSync(halfBPath(), text, { mode: 0o400 });
  },
};

async function restoreHalves(): Promise<void> {
  await xenstored.restart();
  await xenstored.cli('write', [HALF_A, halfA]);
  change.writeB(halfB);
}

/** Everything that the server could have written: Redis, files, half A. */
async function snapshot(): Promise<unknown> {
  const client = redis.client();
  const keys = (await client.keys('*')).toSorted();
  const values = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
  client.disconnect();
  const files = readdirSync(server.dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return {
    redis: keys.map((key, index) => [key, values[index]?.toString('hex')]),
    files: files.toSorted().map((path) => [path, readFileSync(path, 'hex')]),
  };
}

/** The seed's line in the log, by the reason that `/readyz` gives. */
const LINES = {
  keysMissing: 'Encryption keys are missing - running in degraded mode',
  oneHalf: 'Only one encryption key half found - running in degraded mode',
  decryptionFailed: 'Credential database decryption failed - running in degraded mode',
  keyLoadingFailed:
    'Existing key loading failed, decryption migration impossible - running in degraded mode',
};

describe('an encrypted database', () => {
  afterEach(async () => {
    await server.terminate();
    await restoreHalves();
  });

  test.each<[string, string, (() => unknown)[], keyof typeof LINES]>([
    ['on', 'no half', [change.removeA, change.removeB], 'keysMissing'],
    ['on', 'half A only', [change.removeB], 'oneHalf'],
    ['on', 'half B only', [change.removeA], 'oneHalf'],
    ['on', 'half A of another key', [change.foreignA], 'decryptionFailed'],
    ['on', 'half B of another key', [() => change.writeB(FOREIGN_LINE)], 'decryptionFailed'],
    [
      'on',
      'half B cut short',
      [() => change.writeB(halfB.trim().slice(0, -2))],
      'decryptionFailed',
    ],
    [
      'on',
      'half B that others can read',
      [() => chmodSync(halfBPath(), 0o644)],
      'decryptionFailed',
    ],
    ['on', 'XenStore down', [change.stopXenstored], 'decryptionFailed'],
    ['off', 'no half', [change.removeA, change.removeB], 'keysMissing'],
    ['off', 'half A only', [change.removeB], 'oneHalf'],
    ['off', 'half B only', [change.removeA], 'oneHalf'],
    ['off', 'half A of another key', [change.foreignA], 'keyLoadingFailed'],
    ['off', 'XenStore down', [change.stopXenstored], 'keyLoadingFailed'],
  ])(
    'with encryption %s and %s: degraded, nothing written, whole again with its halves',
    async (setting, halves, changes, reason) => {
      await server.terminate();
      for (const apply of changes) await apply();
      const before = await snapshot();
      server.configure({ redis: settings(setting === 'on') });
      await server.launch();

      expect(server.state).toBe('degraded');
      expect(server.stderr).toContain(`vault:crypto-credentials ERROR ${LINES[reason]} {`);
      // What cannot be asked is not lost.
      const isDown = halves === 'XenStore down';
      const down = /cause: 'half A \(xenstore [^']*cannot be read: the XenStore daemon is down/;
      expect(down.test(server.stderr)).toBe(isDown);
      const isUnread = isDown || halves === 'half B that others can read';
      expect(server.stderr.includes('put the half back where it was')).toBe(!isUnread);
      const ready = await fetch(`${server.url}/readyz`);
      expect(ready.status).toBe(503);
      expect(await ready.json()).toEqual({ mode: 'degraded', reason });
      expect(await (await fetch(`${server.url}/healthz`)).text()).not.toBe('');
      await expect(call('server.getAll')).rejects.toMatchObject({ code: DEGRADED });
      expect(await snapshot()).toEqual(before);

      await server.terminate();
      await restoreHalves();
      server.configure({ redis: settings(true) });
      await server.launch();
      expect(server.state).toBe('ready');
      expect(await call('server.getAll')).toMatchObject([{ host: 'xcp1' }]);
      expect(server.allOutput).not.toMatch(/kept secret|[0-9a-f]{64}/);
    },
  );
});
