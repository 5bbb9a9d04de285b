import { hash } from '@node-rs/argon2';
import { expect, test } from '@jest/globals';
import { LIMITS } from '../../src/limits.js';
import { Passwords } from '../../src/session/passwords.js';

const SHARE = { key: '192.0.2.1', isKnown: false };
const OPTIONS = { memoryKiB: 8 * 1024, atOnce: 2, waiting: 3, maxBytes: 64 };

test("hashes with Argon2id and OWASP's parameters", async () => {
  const memoryKiB = LIMITS.passwordMemoryKiB.default;
  const passwords = new Passwords({ ...OPTIONS, memoryKiB });
  expect(await passwords.hash('secret', SHARE)).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
});

test('tells the right password from a wrong one, and salts', async () => {
  const passwords = new Passwords(OPTIONS);
  const [one, two] = await Promise.all([
    passwords.hash('secret', SHARE),
    passwords.hash('secret', SHARE),
  ]);
  expect(one).not.toBe(two);
  expect(await passwords.isRight('secret', one, SHARE)).toBe(true);
  expect(await passwords.isRight('Secret', one, SHARE)).toBe(false);
});

test('checks a dummy where there is no hash, and is never right', async () => {
  const passwords = new Passwords(OPTIONS);
  expect(await passwords.isRight('secret', undefined, SHARE)).toBe(false);
  expect(await passwords.isRight('secret', 'no hash', SHARE)).toBe(false);
});

test('refuses a password over the limit, without hashing it', async () => {
  const passwords = new Passwords(OPTIONS);
  const stored = await passwords.hash('x'.repeat(64), SHARE);
  expect(await passwords.isRight('x'.repeat(65), stored, SHARE)).toBe(false);
  expect(() => passwords.hash('é'.repeat(33), SHARE)).toThrow('invalid parameters');
});

test('does not spend the memory that a foreign hash asks for', async () => {
  const passwords = new Passwords(OPTIONS);
  const costly = await hash('secret', { memoryCost: OPTIONS.memoryKiB * 4 + 1, timeCost: 1 });
  expect(await passwords.isRight('secret', costly, SHARE)).toBe(false);
});

test('says which hashes are worth making again', async () => {
  const passwords = new Passwords(OPTIONS);
  expect(passwords.isOutdated(await passwords.hash('secret', SHARE))).toBe(false);
  const weak = await hash('secret', { memoryCost: 8 * 1024, timeCost: 1 });
  expect(passwords.isOutdated(weak)).toBe(true);
  expect(await passwords.isRight('secret', weak, SHARE)).toBe(true);
});

test('lets a few wait, and refuses the next with code 28', async () => {
  const passwords = new Passwords(OPTIONS);
  const checks = Array.from({ length: 6 }, () => passwords.isRight('secret', undefined, SHARE));
  const outcomes = await Promise.allSettled(checks);
  const refused = outcomes.filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(1);
  expect(refused[0]).toMatchObject({ reason: { code: 'SERVICE_UNAVAILABLE' } });
  expect(await passwords.isRight('secret', undefined, SHARE)).toBe(false);
});
