/** Who may do what in recovery mode. */
import { describe, expect, it } from '@jest/globals';
import { DegradedError } from '@vault/redis-store';
import { resolveLimits } from '../../src/limits.js';
import type { JsonObject } from '../../src/protocol.js';
import { RecoveryDesk } from '../../src/recovery/recovery-desk.js';
import { RecoveryPassword } from '../../src/recovery/recovery-password.js';
import { Session } from '../../src/session/session.js';
import { RecordingLogger } from '../api-fixture.js';

const PASSWORD = 'sixteen letters!';
const RIGHT = { email: 'recovery', password: PASSWORD };

class Fixture {
  readonly logger = new RecordingLogger();
  readonly session = new Session();
  nowMs = 0;
  readonly desk = new RecoveryDesk({
    password: new RecoveryPassword(PASSWORD),
    degraded: new DegradedError('oneHalf', { neededKeyId: '0123456789abcdef' }),
    limits: resolveLimits({ throttledWaitMs: 0 }),
    logger: this.logger,
    version: '1.2.3',
    now: () => this.nowMs,
    recover: () => Promise.resolve('done\n'),
  });

  call(
    method: string,
    params: JsonObject = {},
    address = '127.0.0.1',
    isForwarded = false,
  ): Promise<object> {
    const caller = { session: this.session, address, isLocal: false, isForwarded };
    return this.desk.call(method, () => params, caller);
  }
}

describe('the recovery desk', () => {
  it.each(['127.0.0.1', '::1', '::ffff:127.0.0.1', '127.9.9.9'])(
    'signs in from %s, and then says what is wrong',
    async (address) => {
      const fixture = new Fixture();
      expect(await fixture.call('session.signIn', RIGHT, address)).toMatchObject({
        email: 'recovery',
      });
      expect(await fixture.call('system.getStatus', {}, address)).toEqual({
        mode: 'recovery',
        version: '1.2.3',
        reason: 'oneHalf',
        message: 'Only one encryption key half found - running in degraded mode',
        neededKeyId: '0123456789abcdef',
      });
      expect(await fixture.call('system.importConfig', {}, address)).toMatchObject({
        $sendTo: expect.stringMatching(/^\/api\/[\w-]{43}$/),
      });
    },
  );

  it.each(['10.0.0.1', '::ffff:10.0.0.1', 'fe80::1', 'unknown'])(
    'is a degraded server to %s',
    async (address) => {
      await expect(new Fixture().call('session.signIn', RIGHT, address)).rejects.toMatchObject({
        code: 'DEGRADED',
      });
    },
  );

  it('signs nobody in through a proxy on this machine, and says why', async () => {
    const fixture = new Fixture();
    const refused = fixture.call('session.signIn', RIGHT, '127.0.0.1', true);
    await expect(refused).rejects.toMatchObject({ code: 'FORBIDDEN_OPERATION' });
    await expect(refused).rejects.toThrow('this came through a proxy');
    await expect(fixture.call('system.importConfig')).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
    });
    expect(fixture.logger.text).toContain('through a proxy refused');
    // Nobody behind the proxy throttles who sits at the machine.
    expect(await fixture.call('session.signIn', RIGHT)).toMatchObject({ email: 'recovery' });
  });

  it.each<[string, JsonObject, string]>([
    ['a wrong password', { ...RIGHT, password: 'sixteen letters?' }, 'INVALID_CREDENTIALS'],
    ['another user', { ...RIGHT, email: 'admin' }, 'INVALID_CREDENTIALS'],
    ['a token', { token: 'x' }, 'INVALID_CREDENTIALS'],
    ['an empty password', { ...RIGHT, password: '' }, 'INVALID_CREDENTIALS'],
  ])('refuses %s', async (_, params, code) => {
    const fixture = new Fixture();
    await expect(fixture.call('session.signIn', params)).rejects.toMatchObject({ code });
    expect(fixture.session.identity).toBeUndefined();
    expect(fixture.logger.text).not.toContain('sixteen');
  });

  it('checks one password of a name at a time, and none for a while after a wrong one', async () => {
    const fixture = new Fixture();
    const wrong = { ...RIGHT, password: 'wrong' };
    await expect(fixture.call('session.signIn', wrong)).rejects.toMatchObject({
      code: 'INVALID_CREDENTIALS',
    });
    fixture.nowMs += 1999;
    await expect(fixture.call('session.signIn', RIGHT)).rejects.toMatchObject({
      code: 'TOO_MANY_SIGN_INS',
    });
    fixture.nowMs += 1;
    expect(await fixture.call('session.signIn', RIGHT)).toMatchObject({ email: 'recovery' });
  });

  it.each(['system.getStatus', 'system.importConfig'])(
    'wants a sign-in before %s',
    async (method) => {
      await expect(new Fixture().call(method)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    },
  );

  it.each(['server.getAll', 'session.getUser', 'system.exportConfig', 'encryption.rotateKeys'])(
    'has no %s, signed in or not',
    async (method) => {
      const fixture = new Fixture();
      await expect(fixture.call(method)).rejects.toMatchObject({ code: 'RECOVERY' });
      await fixture.call('session.signIn', RIGHT);
      await expect(fixture.call(method)).rejects.toMatchObject({ code: 'RECOVERY' });
    },
  );

  it('takes a password of at least 16 characters', () => {
    expect(() => new RecoveryPassword('fifteen letters')).toThrow('at least 16 characters');
    expect(new RecoveryPassword(PASSWORD).isRight(PASSWORD)).toBe(true);
  });
});
