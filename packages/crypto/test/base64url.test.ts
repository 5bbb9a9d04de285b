import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { truncateBase64url } from '../src/base64url.js';

test('gives what encoding the first bytes gives, at every length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(70), (bytes, cut) => {
      const length = Math.min(cut, bytes.length);
      const whole = Buffer.from(bytes).toString('base64url');
      expect(truncateBase64url(whole, length)).toBe(
        Buffer.from(bytes).toString('base64url', 0, length),
      );
    }),
  );
});
