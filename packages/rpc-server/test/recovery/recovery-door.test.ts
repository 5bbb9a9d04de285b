/** Where recovery mode is reached, over real connections. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DegradedError } from '@vault/redis-store';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { createApi } from '../../src/http/api-server.js';
import type { Api } from '../../src/http/api-server.js';
import { resolveLimits } from '../../src/limits.js';
import { ERROR_CODES } from '../../src/protocol.js';
import { RecoveryDesk } from '../../src/recovery/recovery-desk.js';
import { RecoveryPassword } from '../../src/recovery/recovery-password.js';
import { Passwords } from '../../src/session/passwords.js';
import { SignInThrottle } from '../../src/session/sign-in-throttle.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { ADMIN, ApiFixture, RecordingLogger } from '../api-fixture.js';
import { hold } from '../held-work.js';
import { RpcClient } from '../rpc-client.js';

const PASSWORD = 'sixteen letters!';
const RIGHT = { email: 'recovery', password: PASSWORD };
const REASON = 'oneHalf';
/** RFC 6455 §7.4.1. */
const GOING_AWAY = 1001;
/** What a stranger may write into a request, and what a proxy would. */
const CLAIMS = {
  'x-forwarded-for': '127.0.0.1',
  'x-real-ip': '127.0.0.1',
  forwarded: 'for=127.0.0.1',
};

let api: Api;
let logger: RecordingLogger;
let url: string;
let door: string;
let imported: string;
beforeEach(async () => {
  imported = '';
  logger = new RecordingLogger();
  const version = '1.2.3';
  api = createApi({
    listen: { host: '127.0.0.1', port: 0 },
    trustedProxies: ['127.0.0.1'],
    collections: {},
    logger,
    version,
  });
  url = await api.listen();
  [door = ''] = await api.openRecovery(0);
  const recovery = new RecoveryDesk({
    reached: [door],
    password: new RecoveryPassword(PASSWORD),
    degraded: new DegradedError(REASON, {}),
    limits: resolveLimits({}),
    logger,
    version,
    recover: async (body) => {
      for await (const chunk of body) imported += String(chunk);
      // As the server does once it serves: the answer goes out all the same.
      api.setState({ mode: 'starting' });
      return 'done\n';
    },
  });
  api.setState({ mode: 'recovery', reason: REASON, recovery });
});
afterEach(async () => api.close());

async function signIn(at: string, headers: Record<string, string> = {}): Promise<unknown> {
  const client = await RpcClient.connect(at, { headers });
  try {
    return await client.call('session.signIn', RIGHT);
  } finally {
    await client.close();
  }
}

async function uploadPath(): Promise<string> {
  const client = await RpcClient.connect(door);
  await client.call('session.signIn', RIGHT);
  const { $sendTo } = (await client.call('system.importConfig', {
    allowUnprotected: true,
  })) as { $sendTo: string };
  await client.close();
  return $sendTo;
}

describe('the port of recovery mode', () => {
  it('signs in, whatever headers say', async () => {
    expect(door).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(await signIn(door)).toMatchObject({ email: 'recovery' });
    expect(await signIn(door, { 'x-forwarded-for': '192.0.2.60' })).toMatchObject({
      email: 'recovery',
    });
  });

  it('takes the import, answers it, and is gone with the mode', async () => {
    const response = await fetch(new URL(await uploadPath(), door), {
      method: 'POST',
      body: 'a backup',
    });
    expect([response.status, await response.text()]).toEqual([200, 'done\n']);
    expect(imported).toBe('a backup');
    await expect(fetch(`${door}/healthz`)).rejects.toThrow('fetch failed');
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});

describe('the port that is served otherwise', () => {
  it.each([
    ['straight', {}],
    ['with headers that claim this machine', CLAIMS],
  ])('signs nobody in who comes %s, and says where to go', async (_, headers) => {
    await expect(signIn(url, headers)).rejects.toMatchObject({
      code: ERROR_CODES.RECOVERY.code,
      message: expect.stringContaining(`on its own machine alone, at ${door}; from elsewhere`),
    });
  });

  it('takes no import, even of who knows the one-time URL', async () => {
    const response = await fetch(new URL(await uploadPath(), url), { method: 'POST', body: 'x' });
    expect(response.status).toBe(503);
    expect(await response.text()).toContain('ssh -L');
    expect(imported).toBe('');
  });
});

it('is not there where somebody else has that port, and the log says not to trust it', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  api.setState({ mode: 'starting' });
  expect(await api.openRecovery(port)).toEqual([]);
  expect(logger.lines).toContainEqual({
    level: 'error',
    message: `port ${port} of 127.0.0.1 cannot be had: give the recovery password to nobody who answers there`,
    data: { reason: 'EADDRINUSE', advice: expect.stringContaining('use the local socket') },
  });
  other.close();
  const folder = new TemporaryFolder('recovery-socket');
  const localSocket = join(folder.path, 'vault.sock');
  const fixture = await ApiFixture.start({ localSocket });
  expect(await fixture.api.openRecovery(0)).toEqual([
    expect.stringMatching(/^http:\/\/127\.0\.0\.1:/),
    `unix:${localSocket}`,
  ]);
  await fixture.stop();
  await folder.stop();
});

describe('once the mode is over', () => {
  it('ends the sockets of its port, and answers nothing there', async () => {
    const client = await RpcClient.connect(door);
    const late = await RpcClient.connect(door);
    await client.call('session.signIn', RIGHT);
    api.setState({ mode: 'starting' });
    // Sent before its Close frame was read: nobody takes it any more.
    late.socket.send(
      JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'session.signIn', params: RIGHT }),
    );
    const unanswered = late.frame();
    unanswered.catch(() => undefined);
    expect(await client.closed).toBe(GOING_AWAY);
    await expect(unanswered).rejects.toThrow(`closed: ${GOING_AWAY}`);
  });

  it('lets nobody in whose sign-in waited that long', async () => {
    const folder = new TemporaryFolder('recovery-over');
    const localSocket = join(folder.path, 'vault.sock');
    const fixture = await ApiFixture.start({ localSocket });
    try {
      const serving = fixture.api.state;
      const recovery = new RecoveryDesk({
        reached: await fixture.api.openRecovery(0),
        password: new RecoveryPassword(PASSWORD),
        degraded: new DegradedError(REASON, {}),
        limits: resolveLimits({ throttlingDelayMs: 300 }),
        logger,
        version: '1.2.3',
        recover: () => Promise.reject(new Error('not in this test')),
      });
      fixture.api.setState({ mode: 'recovery', reason: REASON, recovery });
      const guess = await fixture.connect({ socketPath: localSocket });
      const wrong = guess.call('session.signIn', { ...RIGHT, password: 'wrong' });
      await expect(wrong).rejects.toMatchObject({ code: ERROR_CODES.INVALID_CREDENTIALS.code });
      const reserved = hold(SignInThrottle.prototype, 'reserve', { afterwards: true });
      const waiting = await fixture.connect({ socketPath: localSocket });
      const signedIn = waiting.call('session.signIn', RIGHT);
      signedIn.catch(() => undefined);
      await reserved.reached;
      fixture.api.setState(serving);
      reserved.release();
      await expect(signedIn).rejects.toMatchObject({ code: ERROR_CODES.RECOVERY.code });
      expect(await waiting.call('session.getUser')).toBeNull();
      await expect(waiting.call('user.getAll')).rejects.toMatchObject({
        code: ERROR_CODES.UNAUTHORIZED.code,
      });
    } finally {
      await fixture.stop();
      await folder.stop();
    }
  });
});

it('takes nobody over from the database that was served before', async () => {
  const fixture = await ApiFixture.start();
  try {
    const client = await fixture.connect();
    const held = hold(Passwords.prototype, 'isRight', { afterwards: true });
    const signedIn = client.call('session.signIn', ADMIN);
    signedIn.catch(() => undefined);
    await held.reached;
    const { state } = fixture.api;
    fixture.api.setState({ mode: 'starting' });
    fixture.api.setState(state);
    held.release();
    await expect(signedIn).rejects.toMatchObject({ code: ERROR_CODES.STARTING.code });
    expect(await client.call('session.getUser')).toBeNull();
  } finally {
    await fixture.stop();
  }
});
