import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import * as nodeFileSystem from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KeyHalf } from '@vault/crypto';
import { createHalfSource } from '../../src/create-half-source.js';
import type { HalfSource } from '../../src/half-source.js';
import type { FileSystem } from '../../src/internal/secret-file.js';
import { FilePlace } from '../../src/sources/file-source.js';
import { StoredHalfSource } from '../../src/sources/stored-half-source.js';
import { describeHalfSource, FIRST_ID, readable, SECOND_ID } from '../half-source-conformance.js';
import { asOrdinaryUser, makePlace } from '../source-environment.js';
import type { TestPlace } from '../source-environment.js';

const NAME = 'vault-encryption-key';
const NOBODY = 65_534;

function plant(path: string, content: string | Buffer, mode = 0o400): void {
  rmSync(path, { force: true, recursive: true });
  writeFileSync(path, content, { mode });
  chmodSync(path, mode);
}

describeHalfSource(
  'file',
  () => {
    const { folder, environment } = makePlace();
    const path = `${environment.dataDir}/${NAME}`;
    return Promise.resolve({
      source: createHalfSource({ source: 'file' }, environment),
      plantHalf: (half) => {
        plant(path, `${half.unsafeHex()}\n`);
        return Promise.resolve(half);
      },
      plantGarbage: (garbage) => Promise.resolve(plant(path, garbage)),
      stored: () => Promise.resolve(existsSync(path) ? readFileSync(path, 'utf8') : undefined),
      cutOff: () => {
        plant(path, KeyHalf.generate().unsafeHex(), 0o440);
        return Promise.resolve();
      },
      copies: () => {
        const names = readdirSync(environment.dataDir).filter((name) => name.includes('.corrupt-'));
        return Promise.resolve(
          names.map((name) => readFileSync(`${environment.dataDir}/${name}`, 'utf8')),
        );
      },
      stop: () => folder.stop(),
    });
  },
  { isWritable: true },
);

describe('the half file', () => {
  let at: TestPlace;
  let path: string;
  let source: HalfSource;
  beforeEach(() => {
    at = makePlace();
    path = `${at.environment.dataDir}/${NAME}`;
    source = createHalfSource({ source: 'file' }, at.environment);
  });
  afterEach(() => at.folder.stop());

  test('is written with mode 0400, one line, and nothing beside it', async () => {
    await source.append({ keyId: FIRST_ID, half: KeyHalf.fromHex('ab'.repeat(32)) });
    expect(statSync(path).mode & 0o777).toBe(0o400);
    expect(readFileSync(path, 'utf8')).toBe(`${FIRST_ID}:${'ab'.repeat(32)}\n`);
    expect(readdirSync(at.environment.dataDir)).toEqual([NAME]);
  });

  test('is copied aside with mode 0400 when it is corrupt', async () => {
    plant(path, 'no half');
    await source.append({ keyId: FIRST_ID, half: KeyHalf.generate() });
    expect(statSync(`${path}.corrupt-1`).mode & 0o777).toBe(0o400);
  });

  test('of 32 raw bytes stays as it is while nobody knows it; known, it becomes a line beside the new one', async () => {
    const raw = Buffer.from('\n:'.repeat(15) + '\u0001\u0002', 'latin1');
    plant(path, raw);
    expect(readable(await source.read())).toEqual([`bare:${raw.toString('hex')}`]);
    const line = { keyId: FIRST_ID, half: KeyHalf.fromHex('ab'.repeat(32)) };
    await expect(source.append(line)).rejects.toMatchObject({ code: 'HALF_FOREIGN' });
    expect(readFileSync(path)).toEqual(raw);
    await source.append(line, { ownBare: [KeyHalf.fromBytes(raw)] });
    expect(readable(await source.read())).toEqual([
      `bare:${raw.toString('hex')}`,
      `${FIRST_ID}:${'ab'.repeat(32)}`,
    ]);
  });

  test.each([
    ['31 bytes', Buffer.alloc(31, 0xff)],
    ['33 bytes', Buffer.alloc(33, 0xff)],
    ['32 bytes of a cut text', Buffer.from('ab'.repeat(16))],
    ['63 digits', Buffer.from('a'.repeat(63))],
    ['65 digits', Buffer.from('a'.repeat(65))],
    ['nothing', Buffer.alloc(0)],
    ['far too much', Buffer.alloc(100_000, 0x61)],
  ])('with %s in it is corrupt', async (_what, content) => {
    plant(path, content);
    expect(await source.read()).toMatchObject({ status: 'corrupt', lines: [] });
  });

  test.each([0o440, 0o404, 0o640, 0o444, 0o410])('of mode %o is refused', async (mode) => {
    plant(path, 'ab'.repeat(32), mode);
    const reading = await source.read();
    expect(reading).toMatchObject({ status: 'unreadable' });
    expect(JSON.stringify(reading)).toContain(`mode is ${mode.toString(8)}`);
    expect(await source.writeRefusal()).toContain('chmod 400');
  });

  test('is not followed through a symbolic link', async () => {
    plant(`${at.environment.dataDir}/elsewhere`, 'ab'.repeat(32));
    symlinkSync(`${at.environment.dataDir}/elsewhere`, path);
    expect(await source.read()).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining('symbolic link'),
    });
    const append = source.append({ keyId: FIRST_ID, half: KeyHalf.generate() });
    await expect(append).rejects.toMatchObject({ code: 'HALF_UNREADABLE' });
    expect(readFileSync(`${at.environment.dataDir}/elsewhere`, 'utf8')).toBe('ab'.repeat(32));
  });

  test('that is a FIFO or a folder does not hang and is not a half', async () => {
    spawnSync('mkfifo', ['-m', '400', path]);
    expect(await source.read()).toMatchObject({ status: 'corrupt' });
    rmSync(path);
    mkdirSync(path, { mode: 0o700 });
    expect(await source.read()).toMatchObject({ status: 'corrupt' });
    expect(await source.writeRefusal()).toContain('regular file');
  });

  test('of another user, or in a folder of another user, is refused', async () => {
    plant(path, 'ab'.repeat(32));
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) chownSync(path, NOBODY, NOBODY);
    const stranger = { ...at.environment, userId: isRoot ? 0 : NOBODY };
    const reading = await createHalfSource({ source: 'file' }, stranger).read();
    expect(reading).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining('belongs to user'),
    });
  });

  test('without read permission is unreadable, not missing', async () => {
    plant(path, 'ab'.repeat(32), 0o000);
    chmodSync(at.folder.path, 0o755);
    chmodSync(at.environment.dataDir, 0o755);
    const reading = await asOrdinaryUser(() => source.read());
    expect(reading).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining('EACCES'),
    });
  });

  test.each([
    [0o777, /everybody can write in the folder/],
    [0o770, /group \d+ can write in the folder/],
  ])('in a folder of mode %o is refused', async (mode, reason) => {
    const elsewhere = { ...at.environment, groupId: NOBODY };
    plant(path, 'ab'.repeat(32));
    chmodSync(at.environment.dataDir, mode);
    const reading = await createHalfSource({ source: 'file' }, elsewhere).read();
    expect(reading).toMatchObject({
      status: 'unreadable',
      reason: expect.stringMatching(reason),
    });
  });

  test('below a folder that everybody can write is refused, unless it is sticky', async () => {
    plant(path, 'ab'.repeat(32));
    chmodSync(at.folder.path, 0o777);
    expect(await source.read()).toMatchObject({ status: 'unreadable' });
    chmodSync(at.folder.path, 0o1777);
    expect(await source.read()).toMatchObject({ status: 'found' });
  });

  test('cannot be written in a folder that is not there or closed', async () => {
    const nowhere = createHalfSource(
      { source: 'file', path: `${at.environment.dataDir}/no/half` },
      at.environment,
    );
    expect(await nowhere.read()).toEqual({ status: 'missing' });
    expect(await nowhere.writeRefusal()).toContain('ENOENT');
    const append = nowhere.append({ keyId: FIRST_ID, half: KeyHalf.generate() });
    await expect(append).rejects.toMatchObject({ code: 'HALF_WRITE_FAILED' });
    const access = (): Promise<never> =>
      Promise.reject(Object.assign(new Error('made to fail'), { code: 'EACCES' }));
    const owner = { ...at.environment, fileSystem: { ...nodeFileSystem, access } };
    expect(await new FilePlace({ path, owner }).writeRefusal()).toContain('EACCES');
  });

  test('that somebody else changes while we change it is a conflict: theirs stays', async () => {
    plant(path, `${SECOND_ID}:${'ab'.repeat(32)}`);
    let reads = 0;
    const open: FileSystem['open'] = async (file, ...more) => {
      if (file === path && ++reads === 2) plant(path, 'cd'.repeat(32));
      return nodeFileSystem.open(file, ...more);
    };
    const owner = { ...at.environment, fileSystem: { ...nodeFileSystem, open } };
    const append = new StoredHalfSource(new FilePlace({ path, owner })).append({
      keyId: FIRST_ID,
      half: KeyHalf.generate(),
    });
    await expect(append).rejects.toMatchObject({ code: 'HALF_CONFLICT' });
    expect(readFileSync(path, 'utf8')).toBe('cd'.repeat(32));
  });

  test('loses the temporary files of a killed write with the next change', async () => {
    await source.append({ keyId: FIRST_ID, half: KeyHalf.generate() });
    plant(`${path}.tmp-00112233-4711-0123456789abcdef`, 'left over');
    await source.remove({ keyId: FIRST_ID });
    expect(readdirSync(at.environment.dataDir)).toEqual([]);
  });
});

describe('a half file on a failing disk', () => {
  let at: TestPlace;
  let path: string;
  beforeEach(() => {
    at = makePlace();
    path = `${at.environment.dataDir}/${NAME}`;
  });
  afterEach(() => at.folder.stop());

  const OLD = `${FIRST_ID}:${'0a'.repeat(32)}\n`;
  const NEW = `${SECOND_ID}:${'0b'.repeat(32)}\n`;
  const LINE = { keyId: SECOND_ID, half: KeyHalf.fromHex('0b'.repeat(32)) };

  interface Attempt {
    readonly failure: string;
    readonly content: string;
    readonly files: readonly string[];
  }

  /** Appends while the n-th operation fails. @returns `undefined` when there was no n-th operation */
  async function appendFailing(failAt: number, errno: string): Promise<Attempt | undefined> {
    plant(path, OLD);
    const failing = failingFileSystem(failAt, errno);
    const owner = { ...at.environment, fileSystem: failing.fileSystem };
    const source = new StoredHalfSource(new FilePlace({ path, owner }));
    let failure = '';
    try {
      await source.append(LINE);
    } catch (error) {
      failure = error instanceof Error ? `${error.name}: ${error.message}` : 'not an error';
    }
    if (failing.calls() < failAt) return undefined;
    return {
      failure,
      content: readFileSync(path, 'utf8'),
      files: readdirSync(at.environment.dataDir),
    };
  }

  test.each(['ENOSPC', 'EACCES', 'EIO'])(
    'holds the old or the new content, whole, whichever operation fails with %s',
    async (errno) => {
      const attempts: Attempt[] = [];
      for (let failAt = 1; ; failAt++) {
        const attempt = await appendFailing(failAt, errno);
        if (attempt === undefined) break;
        attempts.push(attempt);
      }
      expect(attempts.length).toBeGreaterThan(12);
      const old = attempts.filter(({ content }) => content === OLD);
      const changed = attempts.filter(({ content }) => content === OLD + NEW);
      expect(old.length + changed.length).toBe(attempts.length);
      // Only what comes after the rename can fail with the new content in place: the folder's fsync.
      expect(changed.length).toBeLessThan(4);
      for (const { failure, files } of attempts) {
        expect(failure).toMatch(/^KeystoreError: file /);
        expect(failure).not.toContain('0b0b');
        expect(files).toEqual([NAME]);
      }
    },
  );
});

/** Counts every operation on files, those on open handles too, and makes one of them fail. */
function failingFileSystem(
  failAt: number,
  errno: string,
): { readonly fileSystem: FileSystem; readonly calls: () => number } {
  let calls = 0;
  const counted = async <T>(name: string, operation: () => Promise<T>): Promise<T> => {
    // A clean-up after the failure is not counted: it is not what is tried here.
    if (++calls === failAt) {
      throw Object.assign(new Error(`${name} made to fail`), { code: errno });
    }
    return operation();
  };
  const wrapHandle = (handle: FileHandle): FileHandle =>
    new Proxy(handle, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== 'function') return value;
        const method = (...args: unknown[]): unknown => Reflect.apply(value, target, args);
        if (property === 'close') return method;
        return (...args: unknown[]) =>
          counted(String(property), async () => method(...args) as Promise<unknown>);
      },
    });
  const fileSystem = new Proxy<FileSystem>(
    { ...nodeFileSystem },
    {
      get(target, property) {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) =>
          counted(String(property), async () => {
            const result = (await Reflect.apply(value, target, args)) as unknown;
            return property === 'open' ? wrapHandle(result as FileHandle) : result;
          });
      },
    },
  );
  return { fileSystem, calls: () => calls };
}
