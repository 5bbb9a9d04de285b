/** No failure of any source puts a stored value, an argument, or what a program printed into a report or an error. */
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as nodeFileSystem from 'node:fs/promises';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KeyHalf } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import { createHalfSource } from '../src/create-half-source.js';
import type { HalfSource } from '../src/half-source.js';
import { SplitKeystore } from '../src/split-keystore.js';
import type { FileSystem } from '../src/internal/secret-file.js';
import { FilePlace } from '../src/sources/file-source.js';
import { StoredHalfSource } from '../src/sources/stored-half-source.js';
import { MESSAGE_TYPES } from '../src/xenstore/wire.js';
import { answering, FakeXenstored } from './xenstore/fake-xenstored.js';
import { makePlace } from './source-environment.js';
import type { TestPlace } from './source-environment.js';

/** Hexadecimal digits, so that it can stand in a half, too; base64 of its bytes is looked for as well. */
const MARKER = 'deadbeefcafe0123';
const MARKER_HALF = MARKER.repeat(4);
const ID = 'ffffffffffffffff' as KeyId;

const MARKER_BASE64 = Buffer.from(MARKER_HALF, 'hex').toString('base64').slice(0, 16);

/** Those of the results that the marker is found in, hidden properties of errors included. */
function leaks(results: readonly unknown[]): readonly string[] {
  const texts = results.map((result) => inspect(result, { depth: 9, showHidden: true }));
  return texts.filter(
    (text) => text.toLowerCase().includes(MARKER) || text.includes(MARKER_BASE64),
  );
}

/** What an operation gave or threw, so that either can be looked through. */
async function outcome(operation: () => Promise<unknown>): Promise<unknown> {
  try {
    return await operation();
  } catch (error) {
    return error;
  }
}

/** Tries all that can be asked of a source. */
async function useAll(source: HalfSource, other: HalfSource): Promise<readonly unknown[]> {
  const keystore = new SplitKeystore({ halfA: source, halfB: other });
  const line = { keyId: ID, half: KeyHalf.fromHex(MARKER_HALF) };
  return [
    await outcome(() => source.read()),
    await outcome(() => source.writeRefusal()),
    await outcome(() => source.append(line)),
    await outcome(() => source.remove({ keyId: ID, bareHalf: line.half })),
    await outcome(() => keystore.load()),
    await outcome(() => keystore.appendRefusal()),
    await outcome(() => keystore.append()),
    await outcome(() => keystore.remove(ID)),
  ];
}

describe('secrets stay where they are', () => {
  let at: TestPlace;
  let other: HalfSource;
  beforeEach(() => {
    at = makePlace();
    other = createHalfSource({ source: 'file', path: at.folder.join('other') }, at.environment);
    writeFileSync(at.folder.join('other'), MARKER_HALF, { mode: 0o400 });
  });
  afterEach(() => at.folder.stop());

  test.each([
    ['a broken line', `${MARKER_HALF}0`, 0o400],
    ['a broken line beside a whole one', `${MARKER_HALF}\n${MARKER}`, 0o400],
    ['a file that is open to others', MARKER_HALF, 0o444],
    ['a half of another key', `${ID}:${MARKER_HALF}`, 0o400],
    ['far too much', MARKER.repeat(9_999), 0o400],
  ])('in a file: %s', async (_what, content, mode) => {
    const path = at.folder.join('half');
    writeFileSync(path, content, { mode });
    chmodSync(path, mode);
    const source = createHalfSource({ source: 'file', path }, at.environment);
    expect(leaks(await useAll(source, other))).toEqual([]);
  });

  test('in a file that is a folder', async () => {
    mkdirSync(at.folder.join('half'));
    const source = createHalfSource(
      { source: 'file', path: at.folder.join('half') },
      at.environment,
    );
    expect(leaks(await useAll(source, other))).toEqual([]);
  });

  test.each([MARKER_HALF, MARKER, `${MARKER_HALF}=`])('in the environment: %s', async (value) => {
    const variables = { VAULT_MASTER_KEY: value, VAULT_MASTER_KEY_PREVIOUS: MARKER };
    const source = createHalfSource({ source: 'env' }, { ...at.environment, variables });
    expect(leaks(await useAll(source, other))).toEqual([]);
  });

  test.each([
    `echo ${MARKER}; echo ${MARKER} >&2; exit 1`,
    `echo ${MARKER_HALF}${MARKER}`,
    `echo ${MARKER}; kill -9 $$`,
    `echo ${ID}:${MARKER_HALF}`,
  ])('in a command: %s', async (script) => {
    const read = ['sh', '-c', script, MARKER];
    const write = ['sh', '-c', `cat; cat >&2; echo ${MARKER} >&2; exit 5`, MARKER];
    const source = createHalfSource({ source: 'command', read, write }, at.environment);
    expect(leaks(await useAll(source, other))).toEqual([]);
  });

  test.each([
    [MESSAGE_TYPES.read, { ok: `${MARKER_HALF}${MARKER}` }],
    [MESSAGE_TYPES.read, { errno: MARKER }],
    [MESSAGE_TYPES.transactionStart, { ok: `${MARKER}\0` }],
    [MESSAGE_TYPES.write, { errno: 'EIO' }],
    [MESSAGE_TYPES.transactionEnd, { errno: 'EAGAIN' }],
  ])('in XenStore, request %i answered with %j', async (type, answer) => {
    const fake = await FakeXenstored.start(answering(type, answer, MARKER_HALF));
    const config = { source: 'xenstore', socketPath: fake.socketPath };
    const source = createHalfSource(config, at.environment);
    expect(leaks(await useAll(source, other))).toEqual([]);
    await fake.stop();
  });

  test('in the salt of a machine', async () => {
    const saltPath = at.folder.join('salt');
    for (const salt of [MARKER, MARKER_HALF]) {
      rmSync(saltPath, { force: true });
      writeFileSync(saltPath, salt, { mode: 0o400 });
      const source = createHalfSource({ source: 'machine', saltPath }, at.environment);
      expect(leaks(await useAll(source, other))).toEqual([]);
    }
  });

  test('and a leak would be seen', () => {
    expect(leaks([new Error(`it was ${MARKER}`), 'nothing', MARKER_BASE64])).toHaveLength(2);
  });

  test('and are zeroed after use, those that were read and those that were written', async () => {
    const buffers: Uint8Array[] = [];
    const fileSystem = recordingFileSystem(buffers);
    const path = at.folder.join('half');
    writeFileSync(path, MARKER_HALF, { mode: 0o400 });
    const place = new FilePlace({ path, owner: { ...at.environment, fileSystem } });
    const known = [KeyHalf.fromHex(MARKER_HALF)];
    await new StoredHalfSource(place).append(
      { keyId: ID, half: KeyHalf.generate() },
      { ownBare: known },
    );
    expect(buffers.length).toBeGreaterThan(1);
    expect(buffers.every((buffer) => buffer.every((byte) => byte === 0))).toBe(true);
    expect(readFileSync(path, 'utf8')).toContain(MARKER_HALF);
  });
});

/** Remembers every buffer that a file was read into or written from. */
function recordingFileSystem(buffers: Uint8Array[]): FileSystem {
  const open: FileSystem['open'] = async (...args) => {
    const handle = await nodeFileSystem.open(...args);
    return new Proxy(handle, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== 'function') return value;
        return (...given: unknown[]): unknown => {
          if (given[0] instanceof Uint8Array) buffers.push(given[0]);
          return Reflect.apply(value, target, given);
        };
      },
    });
  };
  return { ...nodeFileSystem, open };
}
