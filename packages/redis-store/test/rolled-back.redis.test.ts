/** Redis comes back as it was at an earlier time while a migration runs: named for what it is, nothing lost, nothing written there. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TcpProxy } from '../../../test/harness/tcp-proxy.js';
import type { Verdict } from '../../../test/harness/tcp-proxy.js';
import { acceptDatabase } from '../src/recover/accept.js';
import type { AcceptReport } from '../src/recover/accept.js';
import type { DegradedError } from '../src/errors.js';
import { contents, DatabaseFixture, fill, USER } from './database-fixture.js';
import type { RedisSnapshot } from './database-fixture.js';
import { SERVER } from './store-fixture.js';

const SEAL = 'vault:{meta}:seal';
const FENCE = 'vault:{server}:meta';

let fixture: DatabaseFixture;
let before: unknown;
let plain: RedisSnapshot;
beforeEach(async () => {
  fixture = await DatabaseFixture.start();
  before = await fixture.using({ encrypt: false }, async (database) => {
    await fill(database, 20);
    return contents(database);
  });
  plain = await fixture.snapshot();
});
afterEach(async () => {
  await fixture.stop();
});

/** Rolls Redis back at a step. */
function at(step: string): { onStep: (name: string) => Promise<void> } {
  return { onStep: async (name) => (name === step ? fixture.rollBack(plain) : undefined) };
}

function expectRolledBack({ reason, details }: DegradedError): void {
  expect({ reason, cause: details.cause }).toEqual({
    reason: 'foreignDatabase',
    cause: expect.stringContaining('Redis was rolled back'),
  });
}

function accept(allowUnprotected = false): Promise<AcceptReport> {
  return acceptDatabase({
    allowUnprotected,
    redis: { socketPath: fixture.redis.socketPath ?? '' },
    collections: { server: SERVER, user: USER },
    custody: fixture.custody,
    dataDir: fixture.dataDir,
  });
}

describe('an encryption', () => {
  it.each([
    ['before the records are written', 'backup-sealed'],
    ['before they are verified', 'encrypt-transformed'],
    ['before its end is sealed', 'encrypt-verified'],
  ])('says so when that happens %s, and where the backup is', async (_when, step) => {
    const error = await fixture.openDegraded(at(step));
    expectRolledBack(error);
    expect(error.details).toMatchObject({
      backupPath: `${fixture.dataDir}/encryption-backup.json`,
      advice: expect.stringContaining('accept-database'),
    });
    expect(await accept(true)).toMatchObject({ basis: 'seal', state: 'plaintext' });
    expect(await fixture.using({}, contents)).toEqual(before);
  });

  it('keeps its backup when that happens before it is deleted', async () => {
    expectRolledBack(await fixture.openDegraded(at('scrubbed-redis')));
    expect(fixture.files()).toContain('encryption-backup.json');
  });

  it('writes nothing under a fence that reached the older Redis late', async () => {
    const proxy = await TcpProxy.start({ target: { path: fixture.redis.socketPath ?? '' } });
    let earlier: RedisSnapshot | undefined;
    try {
      const error = await fixture.openDegraded({
        redis: { url: proxy.url },
        onStep: async (name) => {
          if (name === 'state-set') earlier = await fixture.snapshot();
          if (name !== 'backup-written') return;
          proxy.intercept = async ({ command, frame }): Promise<Verdict> => {
            // Only the two scripts that swap a fence name this key so early.
            if (!command.startsWith('EVAL') || !frame.includes(FENCE)) return 'pass';
            proxy.intercept = undefined;
            await fixture.rollBack(earlier ?? []);
            return 'pass';
          };
        },
      });
      expectRolledBack(error);
    } finally {
      await proxy.stop();
    }
    expect(await fixture.dumpRecords()).toBe(await recordsOf(earlier ?? []));
  });
});

async function recordsOf(snapshot: RedisSnapshot): Promise<string> {
  await fixture.rollBack(snapshot);
  return fixture.dumpRecords();
}

describe('a decryption', () => {
  it('says so when that happens before the records are verified, and no key is gone', async () => {
    await fixture.using({}, async () => undefined);
    const encrypted = await fixture.snapshot();
    const onStep = async (name: string): Promise<void> =>
      name === 'decrypt-transformed' ? fixture.rollBack(encrypted) : undefined;
    expectRolledBack(await fixture.openDegraded({ encrypt: false, onStep }));
    expect(await accept()).toMatchObject({ basis: 'seal', state: 'encrypted' });
    expect(await fixture.using({ encrypt: false }, contents)).toEqual(before);
  });
});

describe('a rotation', () => {
  it('says so when that happens before the records are verified, and serves no more', async () => {
    let isDegraded = 0;
    let encrypted: RedisSnapshot | undefined;
    const onDegraded = (): void => void isDegraded++;
    const onStep = async (name: string): Promise<void> =>
      name === 'refile-written' ? fixture.rollBack(encrypted ?? []) : undefined;
    await fixture.using({ onStep, onDegraded }, async (database) => {
      encrypted = await fixture.snapshot();
      const error: unknown = await database.rotateKey().catch((thrown: unknown) => thrown);
      expectRolledBack(error as DegradedError);
      expect(() => database.state).toThrow('not the one that this server knows');
    });
    expect(isDegraded).toBe(1);
    expect(await accept()).toMatchObject({ basis: 'seal', state: 'encrypted' });
    expect(await fixture.using({}, contents)).toEqual(before);
  });

  it('says that a part of Redis was, where the seal stands and a fence does not', async () => {
    let encrypted: RedisSnapshot | undefined;
    const onStep = async (name: string): Promise<void> => {
      if (name !== 'refile-written') return;
      const isOfServer = ([key]: RedisSnapshot[number]): boolean =>
        key.startsWith('vault:{server}');
      const others = (await fixture.snapshot()).filter((each) => !isOfServer(each));
      await fixture.rollBack([...others, ...(encrypted ?? []).filter(isOfServer)]);
    };
    await fixture.using({ onStep }, async (database) => {
      encrypted = await fixture.snapshot();
      await expect(database.rotateKey()).rejects.toMatchObject({
        code: 'STATE_STALE',
        message: expect.stringContaining('in the partitions server'),
      });
    });
  });
});

describe('a fence that a process put there when Redis had come back older', () => {
  let fence: string;
  beforeEach(async () => {
    await fixture.using({}, async () => undefined);
    fence = (await fixture.client.get(FENCE)) ?? '';
  });

  it('does not keep an operator from accepting the plaintext database', async () => {
    await fixture.rollBack(plain);
    await fixture.client.set(FENCE, fence);
    expectRolledBack(await fixture.openDegraded());
    expect(await accept(true)).toMatchObject({ basis: 'seal', state: 'plaintext' });
    expect(await fixture.using({}, contents)).toEqual(before);
  });

  it('does not keep an operator from beginning anew where Redis was empty', async () => {
    await fixture.client.flushall();
    await fixture.client.set(FENCE, fence);
    await fixture.openDegraded();
    expect(await accept()).toMatchObject({ basis: 'nothing' });
    await fixture.using({}, async (database) => {
      expect(database.state).toBe('encrypted');
      expect(await database.verify()).toMatchObject({ isSound: true, records: 0 });
    });
  });

  it('is still a reason to stop for a server that knows nothing', async () => {
    await fixture.client.flushall();
    await fixture.client.set(FENCE, fence);
    fixture.removeFile('vault-state');
    expect(await fixture.openDegraded()).toMatchObject({ reason: 'foreignDatabase' });
  });

  it('has no record under its key taken for plaintext', async () => {
    const encrypted = await fixture.snapshot();
    await fixture.rollBack(encrypted.filter(([key]) => key.startsWith('vault:{server}')));
    const seal = plain.filter(([key]) => key === SEAL);
    for (const [key, value] of seal) await fixture.client.restore(key, 0, value);
    await expect(accept()).rejects.toMatchObject({
      code: 'OPERATION_REFUSED',
      message: expect.stringMatching(/says plaintext, but the key vault:.*:r:.* is encrypted/),
    });
    expect((await fixture.custody.load()).ring.ids).toHaveLength(1);
  });
});
