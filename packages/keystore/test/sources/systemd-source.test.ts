import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { createHalfSource } from '../../src/create-half-source.js';
import { describeHalfSource, readable } from '../half-source-conformance.js';
import { makePlace } from '../source-environment.js';

const NAME = 'vault-encryption-key';

describeHalfSource(
  'systemd',
  () => {
    const { folder, environment } = makePlace();
    const directory = folder.join('credentials');
    mkdirSync(directory);
    const path = `${directory}/${NAME}`;
    const variables = { CREDENTIALS_DIRECTORY: directory };
    return Promise.resolve({
      source: createHalfSource({ source: 'systemd' }, { ...environment, variables }),
      plantHalf: (half) => {
        writeFileSync(path, half.unsafeBytes());
        return Promise.resolve(half);
      },
      plantGarbage: (garbage) => Promise.resolve(writeFileSync(path, garbage)),
      stored: () => Promise.resolve(existsSync(path) ? readFileSync(path, 'hex') : undefined),
      cutOff: () => {
        rmSync(directory, { recursive: true });
        writeFileSync(directory, '');
        return Promise.resolve();
      },
      stop: () => folder.stop(),
    });
  },
  { isWritable: false },
);

describe('a systemd credential', () => {
  test('is unreadable where the service manager gave no folder', async () => {
    const { folder, environment } = makePlace();
    const source = createHalfSource({ source: 'systemd' }, environment);
    expect(await source.read()).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining('LoadCredential'),
    });
    await folder.stop();
  });

  test('may hold labelled lines, and is corrupt when it is far too long', async () => {
    const { folder, environment } = makePlace();
    const variables = { CREDENTIALS_DIRECTORY: folder.path };
    const config = { source: 'systemd', credential: 'half-a' };
    const source = createHalfSource(config, { ...environment, variables });
    const line = `0123456789abcdef:${'1f'.repeat(32)}`;
    writeFileSync(folder.join('half-a'), `${line}\n`);
    expect(readable(await source.read())).toEqual([line]);
    writeFileSync(folder.join('half-a'), `${line}\n`.repeat(300));
    expect(await source.read()).toMatchObject({ status: 'corrupt' });
    await folder.stop();
  });
});
