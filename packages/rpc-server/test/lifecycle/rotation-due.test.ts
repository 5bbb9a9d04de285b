import { describe, expect, test } from '@jest/globals';
import { ENCRYPTIONS_BEFORE_ROTATION } from '@vault/crypto';
import { rotationStatus } from '../../src/lifecycle/rotation-due.js';

const DAY_MS = 86_400_000;
const SINCE_MS = Date.parse('2026-01-01T00:00:00Z');
const after = (days: number, encryptions = 0) =>
  rotationStatus(
    { activeSinceMs: SINCE_MS, encryptions, isSuperseded: false },
    90 * DAY_MS,
    SINCE_MS + days * DAY_MS,
  );

describe('a rotation', () => {
  test('is not due before the age, and says when it will be', () => {
    expect(after(90 - 1 / DAY_MS)).toEqual({
      dueAt: '2026-04-01T00:00:00.000Z',
      isDue: false,
      reason: null,
    });
  });

  test.each([
    [90, 'the key is 90 days old'],
    [400.5, 'the key is 400 days old'],
  ])('is due after %d days', (days, reason) => {
    expect(after(days)).toMatchObject({ isDue: true, reason });
  });

  test('is due after 2^31 encryptions, whatever the age', () => {
    expect(after(1, ENCRYPTIONS_BEFORE_ROTATION - 1).isDue).toBe(false);
    expect(after(1, ENCRYPTIONS_BEFORE_ROTATION)).toMatchObject({
      isDue: true,
      reason: 'the key has encrypted 2147483648 times',
    });
  });

  test('is never due by age where nobody wrote down when the key began', () => {
    const status = rotationStatus(
      { activeSinceMs: null, encryptions: 5, isSuperseded: false },
      1,
      Date.now(),
    );
    expect(status).toEqual({ dueAt: null, isDue: false, reason: null });
  });
});
