/** Recovery mode behind a reverse proxy, over real WebSockets. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { DegradedError } from '@vault/redis-store';
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

let api: Api;
let url: string;
beforeAll(async () => {
  const logger = new RecordingLogger();
  const version = '1.2.3';
  api = createApi({ listen: { host: '127.0.0.1', port: 0 }, collections: {}, logger, version });
  const recovery = new RecoveryDesk({
    password: new RecoveryPassword(PASSWORD),
    degraded: new DegradedError(REASON, {}),
    limits: resolveLimits({}),
    logger,
    version,
    recover: () => Promise.resolve('done\n'),
  });
  api.setState({ mode: 'recovery', reason: REASON, recovery });
  url = await api.listen();
});
afterAll(async () => api?.close());

it.each([
  ['Forwarded', 'for=192.0.2.60;proto=https'],
  ['X-Forwarded-For', '192.0.2.60'],
  ['X-Forwarded-Proto', 'https'],
  ['X-Real-IP', '192.0.2.60'],
  ['Via', '1.1 proxy'],
])('nobody signs in with %s', async (name, value) => {
  const client = await RpcClient.connect(url, { headers: { [name]: value } });
  await expect(client.call('session.signIn', RIGHT)).rejects.toMatchObject({
    code: ERROR_CODES.FORBIDDEN_OPERATION.code,
    message: expect.stringContaining('this came through a proxy: connect to the server itself'),
  });
  await client.close();
});

it('who comes straight signs in', async () => {
  const client = await RpcClient.connect(url);
  expect(await client.call('session.signIn', RIGHT)).toMatchObject({ email: 'recovery' });
  await client.close();
});
