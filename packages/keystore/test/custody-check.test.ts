import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as nodeFileSystem from 'node:fs/promises';
import { createHalfSource } from '../src/create-half-source.js';
import { checkCustody } from '../src/custody-check.js';
import { FilePlace } from '../src/sources/file-source.js';
import { StoredHalfSource } from '../src/sources/stored-half-source.js';
import type { HalfSource } from '../src/half-source.js';
import { makePlace } from './source-environment.js';
import type { TestPlace } from './source-environment.js';

describe('the custody check', () => {
  let at: TestPlace;
  beforeEach(() => {
    at = makePlace();
  });
  afterEach(() => at.folder.stop());

  function source(config: Record<string, unknown>): HalfSource {
    return createHalfSource(config, at.environment);
  }
  /** A file on a file system of that type and device. */
  function fileOn(type: number, device: number): HalfSource {
    const fileSystem = {
      ...nodeFileSystem,
      stat: () => Promise.resolve({ dev: device }),
      statfs: () => Promise.resolve({ type }),
    };
    const owner = { ...at.environment, fileSystem: fileSystem as unknown as typeof nodeFileSystem };
    return new StoredHalfSource(new FilePlace({ path: '/half', owner }));
  }
  const EXT4 = 0xef53;
  const NFS = 0x6969;
  const command = { source: 'command', read: ['pass'] };

  test('warns of two halves on one file system, and names better pairs', async () => {
    const [warning, ...others] = await checkCustody(
      source({ source: 'machine' }),
      source({ source: 'file' }),
    );
    expect(others).toEqual([]);
    expect(warning).toContain('Both halves (machine and file) are in the file system of');
    expect(warning).toContain('A better pair');
  });

  test('warns of xenstore with a file on a disk of the same virtual machine', async () => {
    const [warning] = await checkCustody(source({ source: 'xenstore' }), fileOn(EXT4, 1));
    expect(warning).toContain('snapshots and exports');
    const [machine] = await checkCustody(
      source({ source: 'machine' }),
      source({ source: 'xenstore' }),
    );
    expect(machine).toContain('snapshots and exports');
  });

  test('has nothing against halves that are apart', async () => {
    const pairs = [
      [source({ source: 'xenstore' }), fileOn(NFS, 1)],
      [source(command), source({ source: 'file' })],
      [source({ source: 'systemd' }), source({ source: 'file' })],
      [source({ source: 'env' }), source({ source: 'xenstore' })],
      [fileOn(EXT4, 1), fileOn(EXT4, 2)],
    ] as const;
    for (const [halfA, halfB] of pairs) expect(await checkCustody(halfA, halfB)).toEqual([]);
  });

  test('warns of one network share for both', async () => {
    expect(await checkCustody(fileOn(NFS, 1), fileOn(NFS, 1))).toHaveLength(1);
  });

  test('takes the nearest folder of a file that is not there yet', async () => {
    const [artefact] = await source({ source: 'file', path: '/no/such/folder/half' }).artefacts();
    expect(artefact?.label).toBe('the file system of /');
  });
});
