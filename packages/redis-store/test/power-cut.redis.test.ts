/**
 * The power fails right after a change of the state, in a Redis that syncs each second: what was answered, and not
 * synced, is gone. The server starts by itself afterwards, with every record.
 */
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RedisServer } from '../../../test/harness/redis.js';
import { redisPrograms } from '../../../test/harness/redis-servers.js';
import { TcpProxy } from '../../../test/harness/tcp-proxy.js';
import type { Interceptor } from '../../../test/harness/tcp-proxy.js';
import type { OpenOptions } from '../src/open-options.js';
import { contents, DatabaseFixture, fill } from './database-fixture.js';

const PROGRAMS = redisPrograms();
/** That of this machine, which may not know WAITAOF, and the newest that does. */
const CHOSEN = [
  ...new Set([PROGRAMS[0], PROGRAMS.findLast(({ name }) => name.startsWith('Redis'))]),
].filter((program) => program !== undefined);

/** Of all commands, only the script that swaps the seal has these two keys. */
const isSealSwap = (frame: Buffer): boolean =>
  frame.includes(':{meta}:seal') && frame.includes(':{meta}:lock');

describe.each(CHOSEN)('$name', ({ binary }) => {
  let fixture: DatabaseFixture;
  let proxy: TcpProxy;
  beforeEach(async () => {
    fixture = DatabaseFixture.of(await RedisServer.start({ binary, appendonly: true }));
    proxy = await TcpProxy.start({ target: { path: fixture.redis.socketPath ?? '' } });
  });
  afterEach(async () => {
    await proxy.stop();
    await fixture.stop();
  });

  /** The file that Redis appends to now. */
  function appendFile(): string {
    const folder = join(fixture.redis.folder, 'appendonlydir');
    const numberOf = (name: string): number => Number(/\.(\d+)\.incr\.aof$/.exec(name)?.[1]);
    const names = readdirSync(folder).filter((name) => name.endsWith('.incr.aof'));
    return join(folder, names.toSorted((a, b) => numberOf(a) - numberOf(b)).at(-1) ?? '');
  }

  /** Fails after the n-th change of the seal was answered, and before anything else reaches Redis. */
  function failAfter(n: number): Interceptor {
    let seen = 0;
    let sizeBefore: number | undefined;
    return async ({ direction, frame }) => {
      if (direction === 'reply') return 'pass';
      if (isSealSwap(frame)) {
        seen += 1;
        if (seen === n) sizeBefore = statSync(appendFile()).size;
        return 'pass';
      }
      if (sizeBefore === undefined || frame.includes(':{meta}:lock')) return 'pass';
      proxy.intercept = undefined;
      const file = appendFile();
      await fixture.redis.kill();
      truncateSync(file, sizeBefore);
      // It syncs each write again from here on: what comes after is not looked at.
      await fixture.redis.restart();
      return 'cut';
    };
  }

  /** A start again and again, with a power cut after its first, second, … change of the state. @returns how many it makes */
  async function walk(encrypt: boolean): Promise<number> {
    const before = await fixture.using({ encrypt: !encrypt }, async (database) => {
      await fill(database, 12);
      return contents(database);
    });
    const redis: OpenOptions['redis'] = { url: proxy.url };
    for (let n = 1; ; n++) {
      // oxlint-disable no-await-in-loop -- one power cut after the other
      await fixture.client.config('SET', 'appendfsync', 'always');
      await fixture.using({ encrypt: !encrypt }, () => Promise.resolve());
      const cut = failAfter(n);
      proxy.intercept = cut;
      await fixture.client.config('SET', 'appendfsync', 'everysec');
      // It may end, or say that Redis is away: what counts is the start after.
      await fixture.using({ encrypt, redis }, () => Promise.resolve()).catch(() => undefined);
      if (proxy.intercept === cut) return n - 1;
      await fixture.using({ encrypt }, async (database) => {
        expect(await contents(database)).toEqual(before);
        expect(await database.verify()).toMatchObject({ isSound: true });
      });
      // oxlint-enable no-await-in-loop
    }
  }

  test.each([
    ['an encryption', true],
    ['a decryption', false],
  ])(
    'the server starts by itself after a power cut at each change of %s',
    async (_what, encrypt) => {
      const changes = await walk(encrypt);
      expect(changes).toBeGreaterThan(3);
    },
    180_000,
  );
});
