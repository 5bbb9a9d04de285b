/** A server that starts before its Redis. Reads `dist`: build first. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import type { Program } from '../../../../test/harness/program.js';
import { RedisServer } from '../../../../test/harness/redis.js';
import { Resources } from '../../../../test/harness/resources.js';
import { VaultServer } from '../../../../test/harness/vault-server.js';

// Several starts of a process each, on a machine that may be busy.
jest.setTimeout(120_000);

const DEGRADED = /^vault-server degraded on/m;
const READY = /^vault-server ready on/m;

const resources = new Resources();
let redis: RedisServer;
let server: VaultServer;
beforeEach(async () => {
  redis = resources.use(await RedisServer.start({ appendonly: true }));
  const socket = redis.socketPath as string;
  const config = { redis: { encryptCredentialDatabase: true, socket } };
  server = resources.use(await VaultServer.start({ config }));
  await server.terminate();
  await redis.kill();
});
afterEach(() => resources.stop());

async function startWithoutRedis(): Promise<Program> {
  const program = server.spawn();
  await program.waitForOutput(DEGRADED);
  return program;
}

async function readiness(): Promise<unknown> {
  return (await fetch(`${server.url}/readyz`)).json();
}

it('says that it tries again, and serves once Redis is there, without a restart', async () => {
  const program = await startWithoutRedis();
  expect(await readiness()).toEqual({ mode: 'degraded', reason: 'redisUnusable', retrying: true });
  expect(server.stderr).toMatch(
    /ERROR Redis cannot be used - running in degraded mode \{[^}]*the server tries again by itself/,
  );
  const { status, stdout } = await server.run(['status']);
  expect(status).toBe(1);
  expect(stdout).toMatch(/mode +degraded \(redisUnusable\), tries again by itself/);

  await redis.restart();
  // The wait between two attempts has grown while the machine was busy.
  await program.waitForOutput(READY, { limitMs: 60_000 });
  expect(await readiness()).toEqual({ mode: 'serving' });
  expect(server.stderr).toContain('Redis answers: no longer degraded');
  expect((await server.run(['verify'])).status).toBe(0);
  // Said once, however often it tried.
  expect(server.stderr.match(/Redis cannot be used/g)).toHaveLength(1);
  expect(await server.terminate()).toEqual({ status: 0, signal: null });
});

it.each([
  ['ends', () => redis.kill(), () => redis.restart()],
  ['hangs', async () => redis.pause(), async () => redis.resume()],
])(
  'is not ready while a Redis that it served from %s, says why, and is ready again after',
  async (_, away, back) => {
    await redis.restart();
    await server.launch();
    const ask = async (): Promise<unknown[]> => {
      const answer = await fetch(`${server.url}/readyz`);
      return [answer.status, await answer.json()];
    };
    expect(await ask()).toEqual([200, { mode: 'serving' }]);
    await away();
    expect(await ask()).toEqual([
      503,
      { mode: 'degraded', reason: 'redisUnusable', retrying: true },
    ]);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toContain('vault_mode{mode="serving"} 0');
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    await back();
    // Each answer waits for Redis.
    // oxlint-disable-next-line no-await-in-loop -- asked until it is
    while ((await fetch(`${server.url}/readyz`)).status !== 200);
    expect(await readiness()).toEqual({ mode: 'serving' });
  },
);

it('stops at once while it waits for Redis', async () => {
  await startWithoutRedis();
  expect(await server.terminate()).toEqual({ status: 0, signal: null });
  expect(server.stdout).not.toMatch(READY);
});

it('tries no more once something else is wrong: a Redis without the database stays a matter for the operator', async () => {
  const program = await startWithoutRedis();
  const empty = resources.use(await RedisServer.start({ folder: redis.folder }));
  await program.waitForOutput(/Credential database is not the one that this server knows/, {
    stream: 'stderr',
    limitMs: 60_000,
  });
  expect(await readiness()).toEqual({ mode: 'degraded', reason: 'foreignDatabase' });
  expect(await empty.client().dbsize()).toBe(0);
});

it('does not knock again at a Redis that refuses its password', async () => {
  const strict = resources.use(await RedisServer.start({ listen: 'tcp', password: 'of redis' }));
  server.configure({
    redis: { encryptCredentialDatabase: true, url: `redis://127.0.0.1:${strict.port}` },
  });
  await startWithoutRedis();
  expect(await readiness()).toEqual({ mode: 'degraded', reason: 'redisUnusable' });
});

it('waits for a Redis of its own that hangs, too', async () => {
  const config = { redis: { encryptCredentialDatabase: true } };
  const own = resources.use(await VaultServer.start({ config }));
  // Each line of its log begins with its process id.
  const pid = Number.parseInt(readFileSync(join(own.dataDir, 'redis', 'redis.log'), 'utf8'), 10);
  await own.kill();
  process.kill(pid, 'SIGSTOP');
  own.configure({ redis: { ...config.redis, startTimeout: '2s' } });
  const program = own.spawn();
  await program.waitForOutput(DEGRADED);
  process.kill(pid, 'SIGCONT');
  await program.waitForOutput(READY, { limitMs: 60_000 });
  expect(await own.terminate()).toEqual({ status: 0, signal: null });
});
