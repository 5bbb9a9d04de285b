/** A server that is pointed at what a Xen Orchestra has: nothing of it changes, byte for byte, whatever is tried. */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { DEGRADED_MESSAGES } from '@vault/redis-store';
import { RedisServer } from '../harness/redis.js';
import { Resources } from '../harness/resources.js';
import { TemporaryFolder } from '../harness/temporary-folder.js';
import { TEST_ADMIN, VaultServer } from '../harness/vault-server.js';
import { VaultCli } from '../harness/vault-cli.js';
import { XEN_ORCHESTRA_NODE, XenOrchestra } from '../harness/xen-orchestra.js';
import { Xenstored } from '../harness/xenstored.js';

// Many starts of real programs, on a machine that may be busy.
jest.setTimeout(180_000);

const resources = new Resources();
let redis: RedisServer;
let server: VaultServer;
let cli: VaultCli;
let orchestra: XenOrchestra;
let before: unknown;

beforeAll(async () => {
  redis = resources.use(await RedisServer.start({ listen: 'tcp', appendonly: true }));
  const xenstored = resources.use(await Xenstored.start());
  const folder = resources.use(new TemporaryFolder('vault-xo'));
  const halfBPath = folder.join('xo-encryption-key');
  orchestra = await XenOrchestra.layOut({ redis: redis.client(), xenstored, halfBPath });
  before = await orchestra.everything();
  server = resources.use(
    await VaultServer.prepare({
      env: { XENSTORED_PATH: xenstored.socketPath },
      config: {
        keystore: {
          halfA: { source: 'xenstore', path: XEN_ORCHESTRA_NODE },
          halfB: { source: 'file', path: halfBPath },
        },
      },
    }),
  );
  cli = resources.use(new VaultCli());
});
afterAll(() => resources.stop());

async function start(encryptCredentialDatabase: boolean, databaseNumber: number): Promise<void> {
  if (server.isRunning) await server.terminate();
  const url = `redis://127.0.0.1:${redis.port}/${databaseNumber}`;
  server.configure({ redis: { url, encryptCredentialDatabase } });
  await server.launch();
}

function call(...args: readonly string[]): ReturnType<VaultCli['run']> {
  const asAdmin = ['--url', server.url, '--user', TEST_ADMIN.email, ...args];
  return cli.run(asAdmin, `${TEST_ADMIN.password}\n`);
}

test.each([true, false])(
  'its Redis and its halves, encryption %s: degraded, with one clear error',
  async (isOn) => {
    await start(isOn, 0);
    expect(server.state).toBe('degraded');
    expect(server.stderr).toContain(
      `vault:crypto-credentials ERROR ${DEGRADED_MESSAGES.foreignRedis} {`,
    );
    expect(server.stderr).toContain('the sign of a Xen Orchestra, and 17 other keys');
    const status = await server.run(['status']);
    expect(status.status).toBe(1);
    expect(status.stdout).toMatch(/mode +degraded \(foreignRedis\)/);
    expect(status.stdout).toMatch(/cause .*xo::namespaces, the sign of a Xen Orchestra/);
    expect(status.stdout).toMatch(/what to do .*another database number, or another Redis/);
    for (const command of [['accept-database', '--yes'], ['verify'], ['repair-indexes']]) {
      // oxlint-disable-next-line no-await-in-loop -- one program after the other
      expect((await server.run(command)).status).not.toBe(0);
    }
    expect(await orchestra.everything()).toEqual(before);
  },
);

test('a database number of our own and its halves, encryption on: degraded, the places are named', async () => {
  await start(true, 1);
  expect(server.state).toBe('degraded');
  expect(server.stderr).toContain(DEGRADED_MESSAGES.encryptionFailed);
  expect(server.stderr).toContain(`half A (xenstore ${XEN_ORCHESTRA_NODE}) and in half B (file `);
  const { stdout } = await server.run(['status']);
  expect(stdout).toContain(`half A        foreign: xenstore ${XEN_ORCHESTRA_NODE}`);
  expect(stdout).toMatch(/half B +foreign: file /);
  expect(await redis.client({ db: 1 }).keys('*')).toEqual([]);
  expect(await orchestra.everything()).toEqual(before);
});

test('the same, encryption off: served; rotation, deletion and the next starts leave its halves', async () => {
  await start(false, 1);
  expect(server.state).toBe('ready');
  const added = await call('server.add', 'host=a', 'username=root', 'password=x');
  expect(added).toMatchObject({ status: 0 });
  expect((await call('encryption.rotateKeys')).status).not.toBe(0);
  expect((await call('encryption.deleteInactiveKeys')).stdout).toContain('[]');
  await start(true, 1);
  expect(server.state).toBe('degraded');
  await start(false, 1);
  expect(server.state).toBe('ready');
  await server.terminate();
  expect(server.allOutput).not.toMatch(/XO-SECRET/);
  expect(await orchestra.everything()).toEqual(before);
});
