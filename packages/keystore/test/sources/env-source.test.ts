import { describe, expect, test } from '@jest/globals';
import { KeyHalf } from '@vault/crypto';
import { EnvSource } from '../../src/sources/env-source.js';
import { describeHalfSource, readable } from '../half-source-conformance.js';

const VARIABLE = 'VAULT_MASTER_KEY';
const PREVIOUS = 'VAULT_MASTER_KEY_PREVIOUS';

function envSource(variables: Record<string, string | undefined>): EnvSource {
  return new EnvSource({ variable: VARIABLE, previousVariable: PREVIOUS, variables });
}

describeHalfSource(
  'env',
  () => {
    const variables: Record<string, string | undefined> = {};
    return Promise.resolve({
      source: envSource(variables),
      plantHalf: (half) => {
        variables[VARIABLE] = half.unsafeBytes().toString('base64');
        return Promise.resolve(half);
      },
      plantGarbage: (garbage) => {
        variables[VARIABLE] = garbage;
        return Promise.resolve();
      },
      stored: () => Promise.resolve(variables[VARIABLE]),
      stop: () => Promise.resolve(),
    });
  },
  { isWritable: false, canBeCutOff: false },
);

describe('the master key of the environment', () => {
  const half = KeyHalf.fromBytes(Buffer.alloc(32, 0xfb));
  const bytes = half.unsafeBytes();

  test.each([
    ['base64', bytes.toString('base64')],
    ['base64 without padding', bytes.toString('base64').replace('=', '')],
    ['base64url', bytes.toString('base64url')],
    ['hexadecimal digits', bytes.toString('hex')],
    ['base64 with blanks around it', ` ${bytes.toString('base64')}\n`],
  ])('may be %s', async (_form, text) => {
    expect(readable(await envSource({ [VARIABLE]: text }).read())).toEqual([
      `bare:${half.unsafeHex()}`,
    ]);
  });

  test.each([
    ['31 bytes', Buffer.alloc(31).toString('base64')],
    ['33 bytes', Buffer.alloc(33).toString('base64')],
    ['48 bytes', Buffer.alloc(48, 0xff).toString('base64')],
    ['nothing', ''],
    ['32 zero bytes', Buffer.alloc(32).toString('base64')],
    ['a pass phrase', 'correct horse battery staple and some 43 ch'],
    ['stray bits after the 32nd byte', `${'A'.repeat(42)}B=`],
    ['a foreign character', `${'A'.repeat(42)}*=`],
  ])('is corrupt as %s', async (_form, text) => {
    expect(await envSource({ [VARIABLE]: text }).read()).toMatchObject({ status: 'corrupt' });
  });

  test('has earlier keys before it, oldest first', async () => {
    const keys = [1, 2, 3].map((byte) => Buffer.alloc(32, byte));
    const [oldest, older, current] = keys.map((key) => key.toString('base64'));
    const source = envSource({ [VARIABLE]: current, [PREVIOUS]: `${oldest}, ${older}` });
    expect(readable(await source.read())).toEqual(keys.map((key) => `bare:${key.toString('hex')}`));
  });

  test('takes an empty list of earlier keys for none', async () => {
    const source = envSource({ [VARIABLE]: bytes.toString('base64'), [PREVIOUS]: ' ' });
    expect(readable(await source.read())).toHaveLength(1);
  });

  test('is corrupt when an earlier key is, which is named by its number', async () => {
    const good = bytes.toString('base64');
    const source = envSource({ [VARIABLE]: good, [PREVIOUS]: `${good},marker` });
    const reading = await source.read();
    expect(reading).toMatchObject({
      status: 'corrupt',
      reason: expect.stringContaining(`key 2 of ${PREVIOUS}`),
    });
    expect(JSON.stringify(reading)).not.toContain('marker');
  });

  test('is corrupt, not missing, when only earlier keys are set, or too many', async () => {
    const good = bytes.toString('base64');
    expect(await envSource({ [PREVIOUS]: good }).read()).toMatchObject({ status: 'corrupt' });
    const many = envSource({ [VARIABLE]: good, [PREVIOUS]: Array(16).fill(good).join(',') });
    expect(await many.read()).toMatchObject({ status: 'corrupt' });
  });
});
