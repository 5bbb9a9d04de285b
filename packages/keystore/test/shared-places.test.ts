/** Places that others may share, a copy of this machine for example: nobody's line is lost there. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as fileSystem from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KeyHalf } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import { createHalfSource } from '../src/create-half-source.js';
import type { HalfSource } from '../src/half-source.js';
import { FileLock } from '../src/internal/file-lock.js';
import { SplitKeystore } from '../src/split-keystore.js';
import { FIRST_ID, readable, SECOND_ID } from './half-source-conformance.js';
import { makePlace } from './source-environment.js';
import type { TestPlace } from './source-environment.js';

const MARKED_AT_MS = Date.parse('2026-12-03T10:15:00Z');
const MARK = ':condemned=2026-12-03T10:15:00Z';

let at: TestPlace;
beforeEach(() => {
  at = makePlace();
});
afterEach(() => at.folder.stop());

const shared = (): HalfSource =>
  createHalfSource(
    { source: 'file', path: at.folder.join('data/shared'), shared: true },
    at.environment,
  );

/** A secret manager without compare-and-swap, shared as `command` is by default. */
function command(more: object = {}): HalfSource {
  const path = at.folder.join('secret');
  const config = {
    source: 'command',
    read: ['sh', '-c', `[ -e '${path}' ] || exit 44; cat '${path}'`],
    write: ['sh', '-c', `cat > '${path}'`],
    missingExitStatus: 44,
    ...more,
  };
  return createHalfSource(config, at.environment);
}

/** Compares and swaps, as a tool with versions would. Runs `before` once, between another's reading and writing. */
function swapping(): HalfSource {
  const path = at.folder.join('secret');
  const write = `
    if [ -e '${path}' ]; then met=$(sha256sum < '${path}' | cut -d ' ' -f 1); else met=none; fi
    [ -e '${path}.meanwhile' ] && { mv '${path}.meanwhile' '${path}'; exit 75; }
    [ "$met" = "$VAULT_EXPECTED_SHA256" ] || exit 75
    cat > '${path}'`;
  return command({ compareAndSwap: true, write: ['sh', '-c', write] });
}

const half = (byte: string): KeyHalf => KeyHalf.fromHex(byte.repeat(32));

describe('a condemned line', () => {
  test('is marked with the time, opens as before, and is spared again', async () => {
    const source = shared();
    await source.append({ keyId: FIRST_ID, half: half('a1') });
    await source.append({ keyId: SECOND_ID, half: half('b2') });
    await source.mark?.({ keyId: FIRST_ID, condemnedAtMs: MARKED_AT_MS + 999 });
    const path = at.folder.join('data/shared');
    expect(readFileSync(path, 'utf8')).toBe(
      `${FIRST_ID}:${'a1'.repeat(32)}${MARK}\n${SECOND_ID}:${'b2'.repeat(32)}\n`,
    );
    expect(readable(await source.read())).toHaveLength(2);
    // Once condemned, it stays so from then on.
    await source.mark?.({ keyId: FIRST_ID, condemnedAtMs: MARKED_AT_MS + 1e9 });
    expect(readFileSync(path, 'utf8')).toContain(MARK);
    await source.mark?.({ keyId: FIRST_ID, condemnedAtMs: undefined });
    expect(readFileSync(path, 'utf8')).not.toContain('condemned');
  });

  test('is spared where its key is appended again', async () => {
    const source = shared();
    await source.append({ keyId: FIRST_ID, half: half('a1') });
    await source.append({ keyId: SECOND_ID, half: half('b2') });
    await source.mark?.({ keyId: FIRST_ID, condemnedAtMs: MARKED_AT_MS });
    await source.append({ keyId: FIRST_ID, half: half('a1') });
    expect(readFileSync(at.folder.join('data/shared'), 'utf8')).toBe(
      `${FIRST_ID}:${'a1'.repeat(32)}\n${SECOND_ID}:${'b2'.repeat(32)}\n`,
    );
  });

  test.each([':condemned=', ':condemned=2026-02-31T10:15:00Z', ':condemned=2026-12-03', ':x'])(
    'is no line with the mark %s',
    async (mark) => {
      writeFileSync(at.folder.join('data/shared'), `${FIRST_ID}:${'a1'.repeat(32)}${mark}\n`, {
        mode: 0o400,
      });
      expect(await shared().read()).toMatchObject({ status: 'corrupt', lines: [] });
    },
  );

  test('counts as not condemned where it stands there without a mark as well', async () => {
    const line = `${FIRST_ID}:${'a1'.repeat(32)}`;
    writeFileSync(at.folder.join('data/shared'), `${line}${MARK}\n${line}\n`, { mode: 0o400 });
    const reading = await shared().read();
    expect('lines' in reading && reading.lines.map((each) => each.condemnedAtMs)).toEqual([
      undefined,
    ]);
  });

  test('is one of the place that is shared, in a keystore', async () => {
    const keystore = new SplitKeystore({
      halfA: createHalfSource({ source: 'file', path: at.folder.join('data/own') }, at.environment),
      halfB: shared(),
    });
    const { id } = await keystore.append();
    await keystore.condemn(id, MARKED_AT_MS);
    expect(readFileSync(at.folder.join('data/own'), 'utf8')).not.toContain('condemned');
    const report = await keystore.load();
    expect(report.ring.ids).toEqual([id]);
    expect(report.condemned).toEqual([{ keyId: id, sinceMs: MARKED_AT_MS }]);
    expect(report.halves.map(({ isShared }) => isShared)).toEqual([false, true]);
    expect((await keystore.inventory()).map(({ kind }) => kind)).toEqual(['line', 'condemned']);
    await keystore.spare(id);
    expect((await keystore.load()).condemned).toEqual([]);
  });
});

test('a condemned key whose user objected meanwhile stays whole', async () => {
  const keystore = new SplitKeystore({
    halfA: createHalfSource({ source: 'file', path: at.folder.join('data/own') }, at.environment),
    halfB: shared(),
  });
  const { id } = await keystore.append();
  await keystore.condemn(id, MARKED_AT_MS);
  await keystore.spare(id);
  await expect(keystore.remove(id, { onlyCondemned: true })).rejects.toMatchObject({
    code: 'HALF_CONFLICT',
    message: expect.stringContaining('another instance uses it'),
  });
  expect((await keystore.load()).ring.ids).toEqual([id]);
  await keystore.condemn(id, MARKED_AT_MS);
  expect(await keystore.remove(id, { onlyCondemned: true })).toEqual([]);
  expect(await keystore.load()).toMatchObject({ state: 'none' });
});

describe('a place without compare-and-swap', () => {
  const guard = { namedKeyIds: new Set([FIRST_ID]) };

  test('is not written where it holds a line that our state never named', async () => {
    const source = command();
    await source.append({ keyId: SECOND_ID, half: half('b2') });
    const line = { keyId: FIRST_ID, half: half('a1') };
    const refusal = { code: 'HALF_SHARED', message: expect.stringContaining(SECOND_ID) };
    await expect(source.append(line, guard)).rejects.toMatchObject(refusal);
    await expect(source.remove({ keyId: SECOND_ID }, guard)).rejects.toMatchObject(refusal);
    const condemnation = { keyId: SECOND_ID, condemnedAtMs: MARKED_AT_MS };
    await expect(source.mark?.(condemnation, guard)).rejects.toMatchObject(refusal);
    expect(readFileSync(at.folder.join('secret'), 'utf8')).toBe(`${SECOND_ID}:${'b2'.repeat(32)}`);
  });

  test('is written where all lines are of our keys, or where others cannot share it', async () => {
    const source = command();
    await source.append({ keyId: FIRST_ID, half: half('a1') }, guard);
    const own = command({ shared: false });
    await own.append({ keyId: SECOND_ID, half: half('b2') }, { namedKeyIds: new Set() });
    expect(readable(await source.read())).toHaveLength(2);
  });

  test('is written where a half of ours was put back without its key id', async () => {
    const keystore = new SplitKeystore({
      halfA: createHalfSource({ source: 'file' }, at.environment),
      halfB: command(),
    });
    const { id } = await keystore.append();
    const path = at.folder.join('secret');
    writeFileSync(path, readFileSync(path, 'utf8').replace(`${id}:`, ''));
    const namedKeyIds = new Set([id]);
    expect(await keystore.appendRefusal({ namedKeyIds })).toContain('foreign');
    // The state of the database names the key.
    keystore.admit([id]);
    const added = await keystore.append({ namedKeyIds });
    await keystore.condemn(added.id, MARKED_AT_MS, { namedKeyIds: new Set([id, added.id]) });
    expect((await keystore.load()).ring.ids.toSorted()).toEqual([id, added.id].toSorted());
  });

  test('refuses a new pair with the reason, before anything is written', async () => {
    const keystore = new SplitKeystore({
      halfA: createHalfSource({ source: 'file' }, at.environment),
      halfB: command(),
    });
    const stranger = await keystore.append();
    const namedKeyIds = new Set([FIRST_ID]);
    expect(await keystore.appendRefusal({ namedKeyIds })).toMatch(
      new RegExp(`another instance.*${stranger.id}|${stranger.id}.*another instance`),
    );
    const announced: KeyId[] = [];
    const announce = async (id: KeyId): Promise<void> => Promise.resolve(void announced.push(id));
    await expect(keystore.append({ namedKeyIds, announce })).rejects.toMatchObject({
      code: 'APPEND_REFUSED',
    });
    expect(announced).toEqual([]);
    expect((await keystore.load()).ring.ids).toEqual([stranger.id]);
    // Known, it is appended to, and named before its first line.
    const announcing = async (id: KeyId): Promise<void> => {
      expect((await keystore.load()).ring.ids).not.toContain(id);
      announced.push(id);
    };
    const known = new Set([stranger.id]);
    const { id } = await keystore.append({ namedKeyIds: known, announce: announcing });
    expect(announced).toEqual([id]);
  });
});

describe('a command that compares and swaps', () => {
  test('loses no line that another appended between reading and writing', async () => {
    const source = swapping();
    await source.append({ keyId: FIRST_ID, half: half('a1') });
    const path = at.folder.join('secret');
    const third = 'aaaaaaaaaaaaaaaa';
    writeFileSync(
      `${path}.meanwhile`,
      `${FIRST_ID}:${'a1'.repeat(32)}\n${third}:${'c3'.repeat(32)}`,
    );
    await source.append(
      { keyId: SECOND_ID, half: half('b2') },
      {
        namedKeyIds: new Set([FIRST_ID]),
      },
    );
    expect(readable(await source.read()).map((line) => line.slice(0, 16))).toEqual([
      FIRST_ID,
      third,
      SECOND_ID,
    ]);
  });

  test('gives up with an error when it meets a conflict each time', async () => {
    const source = command({
      compareAndSwap: true,
      write: ['sh', '-c', 'exit 9'],
      conflictExitStatus: 9,
    });
    const append = source.append({ keyId: FIRST_ID, half: half('a1') });
    await expect(append).rejects.toMatchObject({ code: 'HALF_CONFLICT' });
  });
});

describe('a shared file', () => {
  test('keeps every line of writers that write at once', async () => {
    const ids = Array.from({ length: 12 }, (_, n) => `${n}`.padStart(16, '0') as KeyId);
    await Promise.all(ids.map((keyId) => shared().append({ keyId, half: half('a1') })));
    const reading = readable(await shared().read());
    expect(reading.map((line) => line.slice(0, 16)).toSorted()).toEqual(ids);
    expect(readdirSync(at.environment.dataDir)).toEqual(['shared']);
  });

  test('is not written while a machine elsewhere has the lock, and says how to go on', async () => {
    const lock = at.folder.join('data/shared.lock');
    const other = 'deadbeef 1 boot/1 0123\n';
    writeFileSync(lock, other, { mode: 0o400 });
    const files = {
      temporaryName: () => `${lock}.new`,
      create: async () => Promise.resolve(false),
      read: async () => Promise.resolve(readFileSync(lock, 'utf8')),
      rename: async () => Promise.resolve(),
      link: async () => Promise.resolve(),
      unlink: async () => Promise.resolve(),
    };
    const held = new FileLock(at.folder.join('data/shared'), 'ours', files, 0);
    const use = held.hold(async () => Promise.resolve('written'));
    await expect(use).rejects.toMatchObject({
      code: 'HALF_CONFLICT',
      message: expect.stringContaining('shared.lock'),
    });
    expect(readFileSync(lock, 'utf8')).toBe(other);
  });

  test('takes the lock of a process of this machine that is gone', async () => {
    const source = shared();
    let seen = '';
    await source.append({ keyId: FIRST_ID, half: half('a1') });
    const lock = at.folder.join('data/shared.lock');
    const { FilePlace } = await import('../src/sources/file-source.js');
    const place = new FilePlace({
      path: at.folder.join('data/shared'),
      isShared: true,
      owner: { userId: process.geteuid?.(), groupId: process.getegid?.() },
    });
    await place.change(() => {
      seen = readFileSync(lock, 'utf8');
      return { action: 'keep' };
    });
    expect(seen).toContain(` ${process.pid} `);
    // The same place and process id, of an earlier start of the machine.
    const earlier = seen.replace(/ [^ ]+\/\d+ \d+ /, ' earlier-boot/1 1000 ');
    expect(earlier).not.toBe(seen);
    writeFileSync(lock, earlier, { mode: 0o400 });
    await source.append({ keyId: SECOND_ID, half: half('b2') });
    expect(readable(await source.read())).toHaveLength(2);
    expect(readdirSync(at.environment.dataDir)).toEqual(['shared']);
  });

  test('leaves the lock of a copy of this machine alone, which has its name and runs beside it', async () => {
    const { FilePlace } = await import('../src/sources/file-source.js');
    const owner = { userId: process.geteuid?.(), groupId: process.getegid?.() };
    const path = at.folder.join('data/shared');
    const place = new FilePlace({ path, isShared: true, owner });
    const lock = `${path}.lock`;
    let seen = '';
    await place.change(() => {
      seen = readFileSync(lock, 'utf8');
      return { action: 'keep' };
    });
    const ofCopy = seen.replace(/ [^ ]+\/\d+ /, ' boot-of-the-copy/1 ');
    expect(ofCopy).not.toBe(seen);
    writeFileSync(lock, ofCopy, { mode: 0o400 });
    // Each reading sweeps away what a killed process of this machine left.
    expect(await place.read()).toEqual({ status: 'missing' });
    expect(readFileSync(lock, 'utf8')).toBe(ofCopy);
  });

  test('is not written when the lock goes while the new value is laid beside it', async () => {
    const lock = at.folder.join('data/shared.lock');
    await shared().append({ keyId: FIRST_ID, half: half('a1') });
    const { FilePlace } = await import('../src/sources/file-source.js');
    const slow = new FilePlace({
      path: at.folder.join('data/shared'),
      isShared: true,
      owner: {
        userId: process.geteuid?.(),
        groupId: process.getegid?.(),
        fileSystem: {
          ...fileSystem,
          open: async (path, flags, mode) => {
            if (String(path).includes('shared.tmp-')) rmSync(lock);
            return fileSystem.open(path, flags, mode);
          },
        },
      },
    });
    const change = slow.change(() => ({
      action: 'replace',
      value: Buffer.from('something else'),
      isCorrupt: false,
    }));
    await expect(change).rejects.toMatchObject({ code: 'HALF_CONFLICT' });
    expect(readable(await shared().read())).toHaveLength(1);
    expect(readdirSync(at.environment.dataDir)).toEqual(['shared']);
  });
});
