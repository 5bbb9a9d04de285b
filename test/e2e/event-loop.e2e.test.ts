/**
 * No turn of the server's event loop takes long, whatever strangers and users without permissions send: health is
 * answered and everybody else served meanwhile. What is measured is processor time, not time by the clock.
 */
import { once } from 'node:events';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { RpcClient } from '../../packages/rpc-server/test/rpc-client.js';
import { LoopWatch } from '../harness/loop-watch.js';
import { Resources } from '../harness/resources.js';
import { TemporaryFolder } from '../harness/temporary-folder.js';
import { TEST_ADMIN, VaultServer } from '../harness/vault-server.js';
import { ATTACKS } from './loop-attacks.js';
import type { Target } from './loop-attacks.js';

/** The demand of the design. */
const TURN_MAX_MS = 200;
/** Steps of somebody else while an attack runs: each takes some turns of the loop. */
const STEPS = 5;
const TOKENS = 300;
const RECORDS = 300;
const LIMIT_MS = 60_000;

const resources = new Resources();
let server: VaultServer;
let watch: LoopWatch;
let admin: RpcClient;
let target: Target;

async function signIn(credentials: object): Promise<RpcClient> {
  const client = await RpcClient.connect(server.url);
  resources.defer(() => client.socket.terminate());
  await client.call('session.signIn', credentials);
  return client;
}

/** On a connection of its own: one that is kept may be ended to make room. */
async function statusOf(path: string): Promise<number | undefined> {
  const [answer] = (await once(get(server.url + path, { agent: false }), 'response')) as [
    IncomingMessage,
  ];
  answer.resume();
  return answer.statusCode;
}

/** A token of a new user. */
async function tokenOf(permission: string): Promise<{ user: RpcClient; token: string }> {
  const credentials = { email: permission, password: 'long enough' };
  await admin.call('user.create', { ...credentials, permission });
  const user = await signIn(credentials);
  return { user, token: await user.call<string>('token.create', {}) };
}

beforeAll(async () => {
  const folder = resources.use(new TemporaryFolder('vault-loop'));
  watch = new LoopWatch(folder.path);
  const config = { redis: { encryptCredentialDatabase: true } };
  server = await VaultServer.start({ config, env: watch.env });
  resources.defer(() => server.stop());
  admin = await signIn(TEST_ADMIN);
  const none = await tokenOf('none');
  const read = await tokenOf('read');
  for (let i = 0; i < TOKENS; i++) await none.user.call('token.create', { description: `${i}` });
  for (let i = 0; i < RECORDS; i++) {
    const label = 'a'.repeat(2000);
    await admin.call('server.add', {
      host: `h${i}.example.org`,
      username: 'root',
      password: 'x',
      label,
    });
  }
  target = { url: server.url, noneToken: none.token, readToken: read.token };
}, LIMIT_MS);

afterAll(() => resources.stop());

test.each(Object.entries(ATTACKS))(
  'no turn of the event loop is long under %s',
  async (_, attack) => {
    watch.longestMs();
    const attackers = attack(target);
    try {
      for (let step = 0; step < STEPS; step++) {
        expect(await statusOf('/healthz')).toBe(200);
        expect(await admin.call('session.getUser')).not.toBeNull();
      }
    } finally {
      attackers.stop();
    }
    expect(watch.longestMs()).toBeLessThan(TURN_MAX_MS);
  },
  LIMIT_MS,
);
