/** The watch on a real database, with a clock that tests move. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { OperationRefusedError } from '@vault/redis-store';
import { KeyAgeWatch } from '../../src/lifecycle/key-age-watch.js';
import type { KeyAgeWatchOptions } from '../../src/lifecycle/key-age-watch.js';
import { keyMetrics } from '../../src/lifecycle/rotation-note.js';
import { ApiMetrics } from '../../src/http/metrics.js';
import { RecordingLogger } from '../api-fixture.js';
import { openTestDatabase } from '../test-database.js';
import type { TestDatabase } from '../test-database.js';

const DAY_MS = 86_400_000;
const ROTATE_AFTER_MS = 90 * DAY_MS;

let store: TestDatabase;
let logger: RecordingLogger;
let nowMs: number;
beforeAll(async () => {
  store = await openTestDatabase({
    secret: { fields: { value: { type: 'secret' } }, indexes: {} },
  });
});
beforeEach(() => {
  logger = new RecordingLogger();
  nowMs = Date.now();
});
afterAll(async () => store?.stop());

function watch(options: Partial<KeyAgeWatchOptions> = {}): KeyAgeWatch {
  const { database } = store;
  return new KeyAgeWatch({
    database,
    rotateAfterMs: ROTATE_AFTER_MS,
    isAutomatic: false,
    logger,
    now: () => nowMs,
    ...options,
  });
}
const activeKey = async () => (await store.database.keyUse())?.keyId;

describe('a key that is due', () => {
  test('is said so once a day, and not before', async () => {
    const keyAge = watch();
    await keyAge.check();
    expect(logger.lines).toEqual([]);
    nowMs += 91 * DAY_MS;
    for (let hour = 0; hour < 25; hour++) {
      // oxlint-disable-next-line no-await-in-loop -- one look an hour
      await keyAge.check();
      nowMs += 3_600_000;
    }
    expect(logger.lines.map(({ level, message }) => [level, message])).toEqual(
      Array.from({ length: 2 }, () => ['warn', 'A rotation of the encryption key is due']),
    );
    expect(logger.lines[0]?.data).toMatchObject({
      keyId: await activeKey(),
      reason: 'the key is 91 days old',
    });
  });

  test('is no reason to end where its time cannot be told', async () => {
    await watch({ rotateAfterMs: 8.64e15 }).check();
    expect(logger.lines).toMatchObject([
      { level: 'warn', message: 'The age of the encryption key could not be checked' },
    ]);
  });

  test('is rotated once by two watches that look at the same moment', async () => {
    const before = await activeKey();
    nowMs += 91 * DAY_MS;
    const watches = [watch({ isAutomatic: true }), watch({ isAutomatic: true })];
    await Promise.all(watches.map((each) => each.check()));
    const after = await activeKey();
    expect(after).not.toBe(before);
    expect(store.database.inactiveKeyIds).toEqual([before]);
    expect(logger.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    expect(logger.lines).toContainEqual(
      expect.objectContaining({
        message: 'The encryption key was rotated',
        data: expect.objectContaining({ activeKeyId: after }),
      }),
    );
    await store.database.deleteInactiveKeys();
  });

  test('that may not be rotated is logged with the reason, and nothing ends', async () => {
    nowMs += 91 * DAY_MS;
    const refusing = {
      keyUse: () => store.database.keyUse(),
      rotateKey: () => Promise.reject(new OperationRefusedError('no half is writable')),
    };
    await watch({ isAutomatic: true, database: refusing }).check();
    const [, refused] = logger.lines;
    expect(refused).toMatchObject({ level: 'warn', data: { keyId: await activeKey() } });
    expect(refused?.data['cause']).toMatchObject({ message: 'no half is writable' });
  });
});

test('metrics say age, use and whether it is due, and nothing where that cannot be asked', async () => {
  const metrics = new ApiMetrics({ openSockets: () => 0, bytesInFlight: () => 0 });
  const value = async (name: string) =>
    new RegExp(`^${name} (\\S+)$`, 'm').exec(await metrics.text())?.[1];
  expect(await value('vault_key_age_seconds')).toBeUndefined();
  nowMs += 2 * DAY_MS;
  metrics.watchKey(() => keyMetrics(store.database, DAY_MS, nowMs));
  expect(Number(await value('vault_key_age_seconds'))).toBeGreaterThan(2 * 86_400 - 600);
  expect(await value('vault_key_rotation_due')).toBe('1');
  expect(Number(await value('vault_key_encryptions'))).toBeGreaterThanOrEqual(0);
  metrics.watchKey(() => keyMetrics(store.database, ROTATE_AFTER_MS, nowMs));
  expect(await value('vault_key_rotation_due')).toBe('0');
  metrics.watchKey(() => Promise.reject(new Error('Redis is away')));
  expect(await value('vault_key_rotation_due')).toBeUndefined();
});
