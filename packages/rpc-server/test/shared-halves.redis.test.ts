/** A machine and its copy, each with a Redis and a half A of its own, and one half B that both reach. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createHalfSource, SplitKeystore } from '@vault/keystore';
import { CredentialDatabase } from '@vault/redis-store';
import type { OpenOptions } from '@vault/redis-store';
import { RedisServer } from '../../../test/harness/redis.js';
import { TemporaryFolder } from '../../../test/harness/temporary-folder.js';

const COLLECTIONS: OpenOptions['collections'] = {
  server: {
    fields: { host: { type: 'string' }, password: { type: 'secret' } },
    indexes: { host: { kind: 'unique', fields: ['host'] } },
  },
};

interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly data: object | undefined;
}

type Config = Readonly<Record<string, unknown>>;

let redises: readonly [RedisServer, RedisServer];
let folder: TemporaryFolder;
let open: CredentialDatabase[];
let lines: LogLine[];
/** Of half B. */
let shared: Config;
let sharedPath: string;

beforeAll(async () => {
  redises = [
    await RedisServer.start({ appendonly: true }),
    await RedisServer.start({ appendonly: true }),
  ];
});
beforeEach(async () => {
  for (const redis of redises) await redis.client().flushall();
  folder = new TemporaryFolder('vault-shared');
  mkdirSync(folder.join('original'), { mode: 0o700 });
  mkdirSync(folder.join('share'), { mode: 0o700 });
  sharedPath = folder.join('share/half-b');
  shared = { source: 'file', path: sharedPath, shared: true };
  open = [];
  lines = [];
});
afterEach(async () => {
  for (const database of open) await database.close();
  await folder.stop();
});
afterAll(async () => {
  for (const redis of redises) await redis.stop();
});

type Instance = 'original' | 'copy';

async function start(
  instance: Instance,
  changes: Partial<OpenOptions> = {},
): Promise<CredentialDatabase> {
  const dataDir = folder.join(instance);
  const environment = {
    variables: { PATH: process.env['PATH'] },
    dataDir,
    userId: process.geteuid?.(),
    groupId: process.getegid?.(),
  };
  const log =
    (level: string) =>
    (message: string, data?: object): void =>
      void lines.push({ level, message, data });
  const database = await CredentialDatabase.open({
    redis: { socketPath: redises[instance === 'original' ? 0 : 1].socketPath ?? '' },
    collections: COLLECTIONS,
    custody: new SplitKeystore({
      halfA: createHalfSource({ source: 'file', path: `${dataDir}/half-a` }, environment),
      halfB: createHalfSource(shared, environment),
    }),
    dataDir,
    encrypt: true,
    logger: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    ...changes,
  });
  open.push(database);
  return database;
}

async function stop(database: CredentialDatabase): Promise<void> {
  open = open.filter((each) => each !== database);
  await database.close();
}

/** As a snapshot of the whole machine would: Redis and data folder; the share is elsewhere. */
async function copyMachine(): Promise<void> {
  const [from, to] = redises.map((redis) => redis.client());
  if (from === undefined || to === undefined) throw new TypeError('two are needed');
  for (const key of await from.keys('*')) {
    // Whoever beats there is another machine's process.
    if (!/:lock$|:process/.test(key)) await to.restore(key, 0, await from.dumpBuffer(key));
  }
  cpSync(folder.join('original'), folder.join('copy'), { recursive: true });
}

/** An original with a record, and its copy, both serving. @returns the key that both use */
async function both(): Promise<{
  readonly original: CredentialDatabase;
  readonly copy: CredentialDatabase;
  readonly keyId: string;
}> {
  const original = await start('original');
  await original.collection('server').add({ host: 'one', password: 'secret' }, { id: 'one' });
  const keyId = (await original.status()).activeKeyId ?? '';
  await copyMachine();
  return { original, copy: await start('copy'), keyId };
}

const sharedText = (): string => readFileSync(sharedPath, 'utf8');

function writeShared(text: string): void {
  rmSync(sharedPath, { force: true });
  writeFileSync(sharedPath, text, { mode: 0o400 });
}

/** All marks as if they were set a month ago. */
function age(): void {
  const text = sharedText();
  expect(text).toContain(':condemned=');
  writeShared(text.replaceAll(/condemned=\d{4}/g, 'condemned=2001'));
}

const NOTHING = { deletedKeys: [], condemnedKeys: [], notErased: [] };

describe('a copy of the machine that deletes the key of the original', () => {
  test('only condemns it; the original takes the mark away, loudly, and each later try begins anew', async () => {
    const { original, copy, keyId } = await both();
    await copy.rotateKey();
    const condemned = await copy.deleteInactiveKeys();
    expect(condemned).toEqual({
      ...NOTHING,
      condemnedKeys: [{ keyId, since: expect.any(String), until: expect.any(String) }],
    });
    const [first] = condemned.condemnedKeys;
    const graceMs = Date.parse(first?.until ?? '') - Date.parse(first?.since ?? '');
    expect(graceMs).toBe(7 * 86_400_000);
    expect(sharedText()).toContain(`${keyId}:`);
    expect(sharedText()).toContain(':condemned=');
    expect(copy.inactiveKeyIds).toEqual([keyId]);
    expect((await copy.status()).condemnedKeys).toEqual(condemned.condemnedKeys);
    // A second call within the grace changes nothing.
    expect(await copy.deleteInactiveKeys()).toEqual(condemned);

    lines.length = 0;
    await original.checkHalves();
    expect(sharedText()).not.toContain('condemned');
    expect(lines).toContainEqual({
      level: 'error',
      message: expect.stringContaining('Another instance shares our halves'),
      data: expect.objectContaining({ keyId }),
    });
    // The copy may not go on where it was: from now on there is a new grace.
    expect(await copy.deleteInactiveKeys()).toMatchObject({
      deletedKeys: [],
      condemnedKeys: [{ keyId }],
    });
    expect((await original.collection('server').get('one'))?.record).toMatchObject({ host: 'one' });
  });

  test('only condemns it where its half was put back without its key id, too', async () => {
    const { original, copy, keyId } = await both();
    await copy.rotateKey();
    writeShared(sharedText().replace(`${keyId}:`, ''));
    expect(await copy.deleteInactiveKeys()).toMatchObject({
      deletedKeys: [],
      condemnedKeys: [{ keyId }],
    });
    await original.checkHalves();
    expect(original.missingHalves).toEqual([]);
    expect(sharedText()).toContain(`${keyId}:`);
    expect(sharedText()).not.toContain('condemned');
  });

  test('takes the mark away only while no other operation on the original runs', async () => {
    const { original, copy, keyId } = await both();
    await copy.rotateKey();
    await copy.deleteInactiveKeys();
    const client = redises[0].client();
    await client.set('vault:{meta}:lock', 'of another process', 'PX', 60_000);
    const before = sharedText();
    lines.length = 0;
    await original.checkHalves();
    expect(sharedText()).toBe(before);
    expect(lines).toEqual([
      { level: 'info', message: expect.stringContaining('is over'), data: undefined },
    ]);
    await client.del('vault:{meta}:lock');
    client.disconnect();
    await original.checkHalves();
    expect(sharedText()).not.toContain('condemned');
    expect(sharedText()).toContain(`${keyId}:`);
  });

  test('takes a mark away at the start of the original, too', async () => {
    const { original, copy, keyId } = await both();
    await stop(original);
    await copy.rotateKey();
    await copy.deleteInactiveKeys();
    lines.length = 0;
    const again = await start('original');
    expect(sharedText()).not.toContain('condemned');
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect((await again.status()).activeKeyId).toBe(keyId);
  });

  test('removes it when it is asked again after the grace; the original says so and puts it back from memory', async () => {
    const { original, copy, keyId } = await both();
    await copy.rotateKey();
    await copy.deleteInactiveKeys();
    age();
    // No start and no timer deletes.
    await stop(copy);
    const again = await start('copy');
    await again.checkHalves();
    expect(sharedText()).toContain(keyId);
    expect(await again.deleteInactiveKeys()).toEqual({ ...NOTHING, deletedKeys: [keyId] });
    expect(again.inactiveKeyIds).toEqual([]);
    expect(sharedText()).not.toContain(keyId);
    expect(readFileSync(folder.join('copy/half-a'), 'utf8')).not.toContain(keyId);

    lines.length = 0;
    await original.checkHalves();
    const gone = [{ keyId, places: [expect.stringContaining(sharedPath)] }];
    expect(original.missingHalves).toEqual(gone);
    expect((await original.status()).missingHalves).toEqual(gone);
    expect(lines).toContainEqual({
      level: 'error',
      message: 'A half of a key in use is not in its place any more',
      data: expect.objectContaining({
        keyId,
        advice: expect.stringContaining('vault-server keys put-back'),
      }),
    });
    // Said once, not each minute.
    lines.length = 0;
    await original.checkHalves();
    expect(lines).toEqual([]);
    await expect(original.rotateKey()).rejects.toThrow(/put it back first/);
    // It is served on, and writes on.
    await original.collection('server').add({ host: 'two' });

    expect(await original.putBackKeys()).toEqual([keyId]);
    expect(original.missingHalves).toEqual([]);
    expect(await original.putBackKeys()).toEqual([]);
    expect((await again.status()).halves.halves[1]?.keyIds).toContain(keyId);
    await stop(original);
    const restarted = await start('original');
    expect((await restarted.collection('server').get('one'))?.record).toMatchObject({
      password: 'secret',
    });
  });

  test('removes it at once for an operator who means it', async () => {
    const { copy, keyId } = await both();
    await copy.rotateKey();
    expect(await copy.deleteInactiveKeys({ now: true })).toEqual({
      ...NOTHING,
      deletedKeys: [keyId],
    });
    expect(sharedText()).not.toContain(keyId);
  });
});

test.each([1, 2, 3, 4, 5])(
  'no key goes where the shared place cannot be read for the %i. time',
  async (nth) => {
    const { copy, keyId } = await both();
    await copy.rotateKey();
    await stop(copy);
    let reads = Infinity;
    const dataDir = folder.join('copy');
    const environment = { variables: {}, dataDir, userId: process.geteuid?.(), groupId: undefined };
    const halfB = createHalfSource(shared, environment);
    const read = halfB.read.bind(halfB);
    halfB.read = () => {
      reads -= 1;
      return reads === 0 ? Promise.resolve({ status: 'unreadable', reason: 'timed out' }) : read();
    };
    const halfA = createHalfSource({ source: 'file', path: `${dataDir}/half-a` }, environment);
    const failing = await start('copy', { custody: new SplitKeystore({ halfA, halfB }) });
    reads = nth;
    await failing.deleteInactiveKeys().catch(() => undefined);
    expect(sharedText()).toContain(keyId);
    expect(readFileSync(`${dataDir}/half-a`, 'utf8')).toContain(keyId);
  },
);

test('a mark of a time that has not come does not keep a line for ever', async () => {
  const { copy, keyId } = await both();
  await copy.rotateKey();
  await copy.deleteInactiveKeys();
  writeShared(sharedText().replaceAll(/condemned=\d{4}/g, 'condemned=9999'));
  expect((await copy.status()).condemnedKeys).toMatchObject([{ keyId }]);
  const { condemnedKeys } = await copy.deleteInactiveKeys();
  expect(Date.parse(condemnedKeys[0]?.since ?? '')).toBeLessThanOrEqual(Date.now());
  age();
  expect((await copy.deleteInactiveKeys()).deletedKeys).toEqual([keyId]);
});

describe('two instances that share the places of both halves', () => {
  const apart = (instance: Instance, changes: Partial<OpenOptions> = {}) => {
    const dataDir = folder.join(instance);
    mkdirSync(dataDir, { mode: 0o700, recursive: true });
    const environment = {
      variables: {},
      dataDir,
      userId: process.geteuid?.(),
      groupId: process.getegid?.(),
    };
    const half = (path: string) =>
      createHalfSource({ source: 'file', path: folder.join(path), shared: true }, environment);
    const custody = new SplitKeystore({
      halfA: half('share/half-a'),
      halfB: half('share/half-b'),
    });
    return start(instance, { custody, ...changes });
  };
  const lineCount = (): number => sharedText().trim().split('\n').length;

  test('encrypt under a pair each, though the other one can be read', async () => {
    const original = await apart('original');
    const copy = await apart('copy');
    expect((await copy.status()).activeKeyId).not.toBe((await original.status()).activeKeyId);
    expect(lineCount()).toBe(2);
    await stop(copy);
    await apart('copy', { encrypt: false });
    expect(sharedText()).toContain((await original.status()).activeKeyId ?? 'a key');
  });

  test('go on with the pair that they appended before they were killed', async () => {
    await apart('original');
    const onStep = (step: string): Promise<void> =>
      step === 'begin' ? Promise.reject(new Error('killed')) : Promise.resolve();
    await expect(apart('copy', { onStep })).rejects.toMatchObject({ reason: 'migrationFailed' });
    expect(lineCount()).toBe(2);
    await apart('copy');
    expect(lineCount()).toBe(2);
  });

  test('take the pair that the caller made for the database', async () => {
    await apart('original');
    const environment = {
      variables: {},
      dataDir: folder.join('share'),
      userId: process.geteuid?.(),
      groupId: undefined,
    };
    const half = (path: string) =>
      createHalfSource({ source: 'file', path: folder.join(path), shared: true }, environment);
    const custody = new SplitKeystore({ halfA: half('share/half-a'), halfB: half('share/half-b') });
    const { id: ownKeyId } = await custody.append();
    await custody.append();
    const copy = await apart('copy', { ownKeyId });
    expect((await copy.status()).activeKeyId).toBe(ownKeyId);
  });
});

test('a copy that decrypts condemns the halves that others may share, and its next starts delete nothing', async () => {
  const { original, copy, keyId } = await both();
  await stop(copy);
  const plain = await start('copy', { encrypt: false });
  expect(plain.state).toBe('plaintext');
  expect((await plain.status()).keptKeysBecause).toContain('condemned until');
  expect(sharedText()).toContain(`${keyId}:`);
  lines.length = 0;
  await original.checkHalves();
  expect(lines.map(({ level }) => level)).toEqual(['error']);
  await stop(plain);
  const again = await start('copy', { encrypt: false });
  age();
  await stop(again);
  const last = await start('copy', { encrypt: false });
  expect(sharedText()).toContain(`${keyId}:`);
  // Asked for after the grace, it goes.
  expect(await last.deleteInactiveKeys()).toMatchObject({ deletedKeys: [keyId] });
  expect(last.inactiveKeyIds).toEqual([]);
  expect(await original.putBackKeys()).toEqual([keyId]);
});

describe('a place without compare-and-swap', () => {
  beforeEach(() => {
    shared = {
      source: 'command',
      read: ['sh', '-c', `[ -e '${sharedPath}' ] || exit 44; cat '${sharedPath}'`],
      write: ['sh', '-c', `umask 077; rm -f '${sharedPath}'; cat > '${sharedPath}'`],
      missingExitStatus: 44,
    };
  });

  test('is not appended to once it has a line that our state never named', async () => {
    const { original, copy } = await both();
    const { activeKeyId } = await copy.rotateKey();
    const before = sharedText();
    await expect(original.rotateKey()).rejects.toMatchObject({
      code: 'OPERATION_REFUSED',
      message: expect.stringContaining(activeKeyId),
    });
    expect(sharedText()).toBe(before);
    expect((await original.status()).pendingKeyId).toBeNull();
    // The copy knows all of them.
    await copy.rotateKey();
  });

  test('still loses a mark on a key in use', async () => {
    const { original, copy } = await both();
    await copy.rotateKey();
    await copy.deleteInactiveKeys();
    await original.checkHalves();
    expect(sharedText()).not.toContain('condemned');
  });

  test('is appended to again after a rotation that was cut short: its key was named before it was written', async () => {
    for (const place of ['key-announced', 'rotate-appended']) {
      let isArmed = false;
      const cut = await start('original', {
        onStep: async (step) =>
          isArmed && step === place ? Promise.reject(new Error('cut')) : Promise.resolve(),
      });
      isArmed = true;
      await expect(cut.rotateKey()).rejects.toThrow('cut');
      const { pendingKeyId } = await cut.status();
      expect(pendingKeyId).not.toBeNull();
      const isWritten = sharedText().includes(`${pendingKeyId}:`);
      expect(isWritten).toBe(place === 'rotate-appended');
      await stop(cut);
      // As if the crash had come between the halves: B has the line, A has not.
      const ownPath = folder.join('original/half-a');
      const own = readFileSync(ownPath, 'utf8').split('\n');
      rmSync(ownPath);
      const rest = own.filter((line) => !line.startsWith(`${pendingKeyId}:`));
      writeFileSync(ownPath, rest.join('\n'), { mode: 0o400 });
      const again = await start('original');
      const { previousKeyId } = await again.rotateKey();
      const abandoned = isWritten ? [pendingKeyId] : [];
      expect(again.inactiveKeyIds).toEqual([...abandoned, previousKeyId]);
      const { deletedKeys } = await again.deleteInactiveKeys({ now: true });
      expect(deletedKeys).toEqual([...abandoned, previousKeyId]);
      expect(sharedText().split('\n')).toHaveLength(1);
      await stop(again);
    }
  });
});

test('a corrupt copy that may hold a deleted key is named as not erased, and in the status', async () => {
  const { original, copy, keyId } = await both();
  await stop(copy);
  await original.rotateKey();
  const place = `${sharedPath}.corrupt-1`;
  writeFileSync(place, `${keyId}:torn\nno half at all`, { mode: 0o400 });
  expect((await original.status()).halves.places).toContainEqual(
    expect.objectContaining({ kind: 'corruptCopy', place: `file ${place}`, keyIds: [keyId] }),
  );
  const report = await original.deleteInactiveKeys({ now: true });
  expect(report).toEqual({
    ...NOTHING,
    deletedKeys: [keyId],
    notErased: [{ keyId, place: `file ${place}`, reason: expect.stringContaining('names no key') }],
  });
  expect(lines).toContainEqual(
    expect.objectContaining({ level: 'warn', message: expect.stringContaining('is left where') }),
  );
});
