/** Where recovery mode is reached, over real connections. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DegradedError } from '@vault/redis-store';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { createApi } from '../../src/http/api-server.js';
import type { Api } from '../../src/http/api-server.js';
import { resolveLimits } from '../../src/limits.js';
import { ERROR_CODES } from '../../src/protocol.js';
import { RecoveryDesk } from '../../src/recovery/recovery-desk.js';
import { RecoveryPassword } from '../../src/recovery/recovery-password.js';
import { RecordingLogger } from '../api-fixture.js';
import { RpcClient } from '../rpc-client.js';

const PASSWORD = 'sixteen letters!';
const RIGHT = { email: 'recovery', password: PASSWORD };
const REASON = 'oneHalf';
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
  door = await api.openRecoveryDoor(0);
  const recovery = new RecoveryDesk({
    url: door,
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

it('is another port where somebody has that one', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  api.setState({ mode: 'starting' });
  const found = await api.openRecoveryDoor(port);
  expect(new URL(found).port).not.toBe(String(port));
  expect(logger.text).toContain('EADDRINUSE');
  expect((await fetch(`${found}/healthz`)).status).toBe(200);
  other.close();
});
