import { pbkdf2Sync } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createHalfSource } from '../../src/create-half-source.js';
import { readMachineIdentity } from '../../src/internal/machine-identity.js';
import type { MachineIdentity } from '../../src/internal/machine-identity.js';
import { MachineSource } from '../../src/sources/machine-source.js';
import type { MachineSourceOptions } from '../../src/sources/machine-source.js';
import { describeHalfSource, readable } from '../half-source-conformance.js';
import { makePlace } from '../source-environment.js';
import type { TestPlace } from '../source-environment.js';

/** The least that is allowed, so that the tests are quick. */
const ITERATIONS = 100_000;

const IDENTITY: MachineIdentity = {
  machineId: '00112233445566778899aabbccddeeff',
  hostName: 'agent',
  userName: 'conexor',
  osDescription: 'Debian GNU/Linux 12 (bookworm)',
};

function lengthPrefix(text: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(Buffer.byteLength(text));
  return Buffer.concat([length, Buffer.from(text)]);
}

function passwordOf(parts: readonly (readonly [string, string])[]): Buffer {
  const fields = parts.flatMap(([name, value]) => [lengthPrefix(name), lengthPrefix(value)]);
  return Buffer.concat([Buffer.from('vault/v1/machine'), ...fields]);
}

const DEFAULT_PASSWORD = passwordOf([
  ['machine-id', IDENTITY.machineId ?? ''],
  ['user', 'conexor'],
]);

function plantSalt(path: string, salt: string | Buffer, mode = 0o400): void {
  rmSync(path, { force: true });
  writeFileSync(path, salt, { mode });
  chmodSync(path, mode);
}

function machineSource(at: TestPlace, options: Partial<MachineSourceOptions> = {}): MachineSource {
  return new MachineSource({
    saltPath: at.folder.join('salt'),
    iterations: ITERATIONS,
    owner: { userId: at.environment.userId, groupId: at.environment.groupId },
    readIdentity: () => Promise.resolve(IDENTITY),
    ...options,
  });
}

describeHalfSource(
  'machine',
  async () => {
    const at = makePlace();
    const { KeyHalf } = await import('@vault/crypto');
    const saltPath = at.folder.join('salt');
    return {
      source: machineSource(at),
      plantHalf: (salt) => {
        plantSalt(saltPath, salt.unsafeBytes());
        const bytes = pbkdf2Sync(DEFAULT_PASSWORD, salt.unsafeBytes(), ITERATIONS, 32, 'sha256');
        return Promise.resolve(KeyHalf.fromBytes(bytes));
      },
      plantGarbage: (garbage) => Promise.resolve(plantSalt(saltPath, garbage)),
      stored: () =>
        Promise.resolve(existsSync(saltPath) ? readFileSync(saltPath, 'hex') : undefined),
      cutOff: () => Promise.resolve(plantSalt(saltPath, Buffer.alloc(32), 0o444)),
      stop: () => at.folder.stop(),
    };
  },
  { isWritable: false },
);

describe('the half of a machine', () => {
  let at: TestPlace;
  beforeEach(() => {
    at = makePlace();
    plantSalt(at.folder.join('salt'), Buffer.alloc(32, 7));
  });
  afterEach(() => at.folder.stop());

  function expected(password: string | Buffer, iterations = ITERATIONS): readonly string[] {
    const half = pbkdf2Sync(password, Buffer.alloc(32, 7), iterations, 32, 'sha256');
    return [`bare:${half.toString('hex')}`];
  }

  test('follows Conexor’s recipe to the byte when that is chosen', async () => {
    const source = machineSource(at, { recipe: 'conexor' });
    const password = 'agent:conexor:Debian GNU/Linux 12 (bookworm)';
    expect(readable(await source.read())).toEqual(expected(password));
    const kernel = 'Linux 5.10.0-8-amd64 #1 SMP Debian 5.10.46-4 (2021-08-03)';
    const older = machineSource(at, { recipe: 'conexor', osDescription: kernel });
    expect(readable(await older.read())).toEqual(expected(`agent:conexor:${kernel}`));
  });

  test('survives an upgrade of the operating system and a new host name by default', async () => {
    const upgraded = { ...IDENTITY, osDescription: 'Debian 13', hostName: 'renamed' };
    const source = machineSource(at, { readIdentity: () => Promise.resolve(upgraded) });
    expect(readable(await source.read())).toEqual(expected(DEFAULT_PASSWORD));
  });

  test.each<[keyof MachineIdentity]>([
    ['machineId'],
    ['hostName'],
    ['userName'],
    ['osDescription'],
  ])('depends on %s when all parts are configured', async (part) => {
    const parts = ['machine-id', 'hostname', 'user', 'os'] as const;
    const changed = { ...IDENTITY, [part]: 'another' };
    const before = readable(await machineSource(at, { parts }).read());
    const after = machineSource(at, { parts, readIdentity: () => Promise.resolve(changed) });
    expect(readable(await after.read())).not.toEqual(before);
  });

  test('depends on the number of iterations', async () => {
    const source = machineSource(at, { iterations: 100_001 });
    expect(readable(await source.read())).toEqual(expected(DEFAULT_PASSWORD, 100_001));
  });

  test('is unreadable where the machine has no machine-id, and says what to do', async () => {
    const nameless = { ...IDENTITY, machineId: undefined };
    const source = machineSource(at, { readIdentity: () => Promise.resolve(nameless) });
    expect(await source.read()).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining('["user"]'),
    });
  });

  test('gets a salt of mode 0400 when asked to, and never another one', async () => {
    const source = machineSource(at, { saltPath: at.folder.join('new-salt') });
    expect(await source.read()).toEqual({ status: 'missing' });
    await source.initialise();
    const { mode, size } = statSync(at.folder.join('new-salt'));
    expect([mode & 0o777, size]).toEqual([0o400, 32]);
    const first = readable(await source.read());
    await source.initialise();
    expect(readable(await source.read())).toEqual(first);
  });

  test('has its salt outside the datadir', () => {
    const { environment } = at;
    const inside = { source: 'machine', saltPath: `${environment.dataDir}/salt` };
    expect(() => createHalfSource(inside, environment)).toThrow('outside the datadir');
    const place = createHalfSource({ source: 'machine' }, environment).place;
    expect(place).toBe(`salt ${at.folder.join('vault-machine-salt')}`);
  });

  test('asks this machine when nothing else is given', async () => {
    const identity = await readMachineIdentity();
    expect(identity.userName).not.toBe('');
    expect(identity.hostName).not.toContain('.');
    expect(identity.osDescription).not.toBe('');
  });
});
