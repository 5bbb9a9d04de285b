/** Who may do what in recovery mode. */
import { describe, expect, it } from '@jest/globals';
import { DegradedError } from '@vault/redis-store';
import { resolveLimits } from '../../src/limits.js';
import type { JsonObject } from '../../src/protocol.js';
import { RecoveryDesk } from '../../src/recovery/recovery-desk.js';
import { RecoveryPassword } from '../../src/recovery/recovery-password.js';
import type { RecoveryCaller } from '../../src/rpc/recovery-face.js';
import { Session } from '../../src/session/session.js';
import { RecordingLogger } from '../api-fixture.js';

const PASSWORD = 'sixteen letters!';
const OPEN = { allowUnprotected: true };
const RIGHT = { email: 'recovery', password: PASSWORD };

type Door = Pick<RecoveryCaller, 'isLocal' | 'isAtRecoveryDoor'>;
const AT_THE_DOOR: Door = { isLocal: false, isAtRecoveryDoor: true };
const ON_THE_SOCKET: Door = { isLocal: true, isAtRecoveryDoor: false };
const ELSEWHERE: Door = { isLocal: false, isAtRecoveryDoor: false };
const HOUR_MS = 3_600_000;

class Fixture {
  readonly logger = new RecordingLogger();
  readonly session = new Session();
  nowMs = 0;
  readonly desk = new RecoveryDesk({
    reached: ['http://127.0.0.1:7401'],
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
    at: Door = AT_THE_DOOR,
    session = this.session,
  ): Promise<object | string> {
    const caller = { session, address: '127.0.0.1', ...at };
    return this.desk.call(method, () => params, caller);
  }
}

describe('the recovery desk', () => {
  it.each([
    ['its own port', AT_THE_DOOR],
    ['the local socket', ON_THE_SOCKET],
  ])('signs in at %s, and then says what is wrong', async (_, at) => {
    const fixture = new Fixture();
    expect(await fixture.call('session.signIn', RIGHT, at)).toMatchObject({
      email: 'recovery',
    });
    expect(await fixture.call('system.getStatus', {}, at)).toEqual({
      mode: 'recovery',
      version: '1.2.3',
      reason: 'oneHalf',
      message: 'Only one encryption key half found - running in degraded mode',
      neededKeyId: '0123456789abcdef',
    });
    expect(await fixture.call('system.importConfig', OPEN, at)).toMatchObject({
      $sendTo: expect.stringMatching(/^\/api\/[\w-]{43}$/),
    });
  });

  it('answers nothing elsewhere but how to come to it, not even to who signed in', async () => {
    const fixture = new Fixture();
    await fixture.call('session.signIn', RIGHT);
    for (const method of ['session.signIn', 'system.getStatus', 'system.importConfig', 'x.y']) {
      const refused = fixture.call(method, RIGHT, ELSEWHERE);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await expect(refused).rejects.toMatchObject({
        code: 'RECOVERY',
        message: expect.stringContaining(
          'at http://127.0.0.1:7401; from elsewhere go through a tunnel: ssh -L 7401:127.0.0.1:7401 ',
        ),
      });
    }
  });

  it('gives a token for other connections, for an hour', async () => {
    const fixture = new Fixture();
    await fixture.call('session.signIn', RIGHT);
    const wanted = { client: { id: 'x' }, description: 'xo-cli', expiresIn: '2 days' };
    const token = (await fixture.call('token.create', wanted)) as string;
    expect(token).toMatch(/^[\w-]{43}$/);
    const other = new Session();
    const call = (method: string, params: JsonObject = {}): Promise<object | string> =>
      fixture.call(method, params, AT_THE_DOOR, other);
    fixture.nowMs = HOUR_MS - 1;
    expect(await call('session.signIn', { token })).toMatchObject({ email: 'recovery' });
    expect(other.identity?.expiresAtMs).toBe(HOUR_MS);
    expect(await call('system.getStatus')).toMatchObject({ mode: 'recovery' });
    expect(await call('system.importConfig', OPEN)).toMatchObject({ $sendTo: expect.any(String) });
    await expect(call('token.create')).rejects.toMatchObject({ code: 'FORBIDDEN_OPERATION' });
    await expect(call('server.getAll')).rejects.toMatchObject({ code: 'RECOVERY' });
    fixture.nowMs = HOUR_MS;
    await expect(call('session.signIn', { token })).rejects.toMatchObject({
      code: 'INVALID_CREDENTIALS',
    });
    expect(fixture.logger.text).not.toContain(token);
  });

  it('gives a token for less when that is asked for, and none without a sign-in', async () => {
    const fixture = new Fixture();
    await expect(fixture.call('token.create')).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await fixture.call('session.signIn', RIGHT);
    const token = await fixture.call('token.create', { expiresIn: '5 min' });
    await fixture.call('session.signIn', { token: token as string });
    expect(fixture.session.identity?.expiresAtMs).toBe(300_000);
    await fixture.call('session.signIn', RIGHT);
    for (const expiresIn of ['soon', '1 s', -1]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await expect(fixture.call('token.create', { expiresIn })).rejects.toMatchObject({
        code: 'INVALID_PARAMETERS',
      });
    }
  });

  it('keeps 32 tokens', async () => {
    const fixture = new Fixture();
    await fixture.call('session.signIn', RIGHT);
    const tokens: string[] = [];
    for (let n = 0; n < 33; n += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      tokens.push((await fixture.call('token.create')) as string);
    }
    const signIn = (at: number): Promise<object | string> =>
      fixture.call('session.signIn', { token: tokens[at] ?? '' }, AT_THE_DOOR, new Session());
    await expect(signIn(0)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(await signIn(1)).toMatchObject({ email: 'recovery' });
    expect(await signIn(32)).toMatchObject({ email: 'recovery' });
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

  it('has one lane for all addresses of the machine, and one for its local socket', async () => {
    const fixture = new Fixture();
    const guess = (address: string, at: Door, password = 'wrong'): Promise<object | string> => {
      const caller = { session: new Session(), address, ...at };
      return fixture.desk.call('session.signIn', () => ({ ...RIGHT, password }), caller);
    };
    const wrong = { code: 'INVALID_CREDENTIALS' };
    await expect(guess('127.0.0.1', AT_THE_DOOR)).rejects.toMatchObject(wrong);
    for (const address of ['127.0.0.2', '127.9.9.9']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await expect(guess(address, AT_THE_DOOR, PASSWORD)).rejects.toMatchObject({
        code: 'TOO_MANY_SIGN_INS',
      });
    }
    await expect(guess('local', ON_THE_SOCKET)).rejects.toMatchObject(wrong);
    fixture.nowMs += 2000;
    expect(await guess('local', ON_THE_SOCKET, PASSWORD)).toMatchObject({ email: 'recovery' });
  });

  it('takes nobody for signed in but whom it let in itself', async () => {
    const fixture = new Fixture();
    const identity = {
      userId: 'recovery',
      email: 'recovery',
      permission: 'admin',
      mayReveal: true,
      groups: [],
      preferences: {},
      tokenId: undefined,
      tokenHash: undefined,
      expiresAtMs: undefined,
      sessionGeneration: '',
    } as const;
    fixture.session.signIn(identity, 0);
    await expect(fixture.call('system.importConfig', OPEN)).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
    });
  });

  it('is closed once the mode is over: no call, no token, no import', async () => {
    const fixture = new Fixture();
    await fixture.call('session.signIn', RIGHT);
    const token = (await fixture.call('token.create')) as string;
    await fixture.call('system.importConfig', OPEN);
    expect(fixture.desk.transfers.waiting).toBe(1);
    fixture.desk.stop();
    expect(fixture.desk.transfers.waiting).toBe(0);
    const over = { code: 'RECOVERY', message: expect.stringContaining('is over') };
    for (const params of [RIGHT, { token }]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await expect(fixture.call('session.signIn', params)).rejects.toMatchObject(over);
    }
    await expect(fixture.call('system.importConfig', OPEN)).rejects.toMatchObject(over);
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

  it('wants a word on how the file is protected', async () => {
    const fixture = new Fixture();
    await fixture.call('session.signIn', RIGHT);
    await expect(fixture.call('system.importConfig')).rejects.toMatchObject({
      code: 'BACKUP_PROTECTION_UNSAID',
    });
  });

  it('takes a password of at least 16 characters', () => {
    expect(() => new RecoveryPassword('fifteen letters')).toThrow('at least 16 characters');
    expect(new RecoveryPassword(PASSWORD).isRight(PASSWORD)).toBe(true);
  });
});
