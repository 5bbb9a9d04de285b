import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { OwnRedis } from '../../src/own-redis/own-redis.js';
import type { OwnRedisOptions } from '../../src/own-redis/own-redis.js';

const resources = new Resources();
afterEach(() => resources.stop());

function makeFolder(...below: readonly string[]): string {
  return resources.use(new TemporaryFolder('own-redis')).join(...below, 'redis');
}

async function start(folder: string, more: Partial<OwnRedisOptions> = {}): Promise<OwnRedis> {
  const redis = await OwnRedis.start({
    folder,
    searchPath: process.env['PATH'] ?? '',
    startTimeoutMs: 20_000,
    ...more,
  });
  resources.use(redis);
  return redis;
}

function clientOf({ socketPath }: OwnRedis): Redis {
  const client = new Redis(socketPath, { retryStrategy: () => null });
  client.on('error', () => undefined);
  resources.defer(() => {
    // A client whose server has stopped is at its end already; disconnect() would start a timer then.
    if (client.status !== 'end') client.disconnect();
  });
  return client;
}

async function pidOf(client: Redis): Promise<number> {
  return Number(/process_id:(\d+)/.exec(await client.info('server'))?.[1]);
}

describe('the own Redis', () => {
  it('keeps every answered write on disk, in files that a plain search reads', async () => {
    const folder = makeFolder();
    const redis = await start(folder);
    const client = clientOf(redis);
    const settings = await Promise.all(
      ['appendonly', 'appendfsync', 'save', 'rdbcompression', 'slowlog-max-len', 'port'].map(
        (name) => client.config('GET', name),
      ),
    );
    expect(Object.fromEntries(settings as [string, string][])).toEqual({
      appendonly: 'yes',
      appendfsync: 'always',
      save: '',
      rdbcompression: 'no',
      'slowlog-max-len': '0',
      port: '0',
    });
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 'redis.sock')).mode & 0o077).toBe(0);
  });

  it('has the same data after a stop and a start', async () => {
    const folder = makeFolder();
    const first = await start(folder);
    await clientOf(first).set('kept', 'yes');
    expect(await first.stop()).toBe(true);

    const second = await start(folder);
    expect(second.isAdopted).toBe(false);
    expect(await clientOf(second).get('kept')).toBe('yes');
  });

  it('removes what a rewrite left that was under way when Redis was killed', async () => {
    const folder = makeFolder();
    const killed = clientOf(await start(folder));
    await Promise.all(Array.from({ length: 20 }, async (_, n) => killed.set(`k${n}`, 'PLAIN')));
    // In microseconds a key: so long that it is killed in the middle.
    await killed.config('SET', 'rdb-key-save-delay', '20000');
    const pid = await pidOf(killed);
    const temporary = (): string[] => readdirSync(folder).filter((name) => name.startsWith('temp'));
    await killed.bgrewriteaof();
    // The file is made by a child that Redis begins a moment later.
    // oxlint-disable-next-line no-await-in-loop -- each answer is a turn of its event loop
    while (temporary().length === 0) await killed.ping();
    process.kill(pid, 'SIGKILL');
    expect(temporary()).toHaveLength(1);
    const client = clientOf(await start(folder));
    expect(temporary()).toEqual([]);
    expect(await client.get('k7')).toBe('PLAIN');
  });

  it('adopts a Redis that answers already, and the last server to stop stops it', async () => {
    const folder = makeFolder();
    const first = await start(folder);
    const second = await start(folder);
    expect(second.isAdopted).toBe(true);
    expect(await pidOf(clientOf(second))).toBe(await pidOf(clientOf(first)));

    expect(await first.stop()).toBe(false);
    expect(await clientOf(second).ping()).toBe('PONG');
    expect(await second.stop()).toBe(true);
  });

  it('gives servers that start together one Redis', async () => {
    const folder = makeFolder();
    const servers = await Promise.all([start(folder), start(folder), start(folder)]);
    const pids = await Promise.all(servers.map((server) => pidOf(clientOf(server))));
    expect(new Set(pids).size).toBe(1);
  });

  it('is left running by a tool that found it running, and stopped by one that started it', async () => {
    const folder = makeFolder();
    const server = await start(folder);
    const tool = await start(folder, { role: 'tool' });
    expect(await tool.stop()).toBe(false);
    expect(await server.stop()).toBe(true);

    const alone = await start(folder, { role: 'tool' });
    expect(await alone.stop()).toBe(true);
  });

  it('is stopped again when the start is given up meanwhile', async () => {
    const folder = makeFolder();
    await expect(start(folder, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      message: 'the start of Redis was given up',
    });
    expect(readFileSync(join(folder, 'redis.log'), 'utf8')).toMatch(/bye bye\.\.\.\n$/);
  });

  it('works in a folder whose path is too long for a socket', async () => {
    const folder = makeFolder('x'.repeat(100), 'y'.repeat(100));
    const redis = await start(folder);
    expect(await clientOf(redis).ping()).toBe('PONG');
  });

  it('starts in a folder whose name has spaces, quotes and letters beyond ASCII', async () => {
    const redis = await start(makeFolder('a "quoted" \\ name é'));
    expect(await clientOf(redis).ping()).toBe('PONG');
  });

  it('says that Redis is not installed', async () => {
    await expect(start(makeFolder(), { program: 'no-such-redis-server' })).rejects.toMatchObject({
      code: 'OWN_REDIS_MISSING',
    });
  });

  it('shows the last line of the log when Redis ends at its start', async () => {
    const folder = makeFolder();
    mkdirSync(join(folder, 'appendonlydir'), { recursive: true });
    writeFileSync(join(folder, 'appendonlydir', 'appendonly.aof.manifest'), 'nonsense\n');
    await expect(start(folder)).rejects.toMatchObject({ code: 'OWN_REDIS_FAILED' });
    expect(readFileSync(join(folder, 'redis.log'), 'utf8')).not.toBe('');
  });

  it('names the log when Redis does not answer in time', async () => {
    const folder = makeFolder();
    const redis = await start(folder);
    const pid = await pidOf(clientOf(redis));
    process.kill(pid, 'SIGSTOP');
    try {
      await expect(start(folder, { startTimeoutMs: 200 })).rejects.toMatchObject({
        code: 'OWN_REDIS_TIMEOUT',
        message: expect.stringContaining(join(folder, 'redis.log')),
      });
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });

  it('refuses a file in the place of its folder', async () => {
    const folder = makeFolder();
    writeFileSync(folder, '');
    await expect(start(folder)).rejects.toMatchObject({ code: 'OWN_REDIS_FOLDER' });
  });
});
