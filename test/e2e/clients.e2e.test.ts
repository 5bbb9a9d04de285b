import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import {
  JsonRpcWebSocketClient,
  type RpcClient,
  Xo,
  type XoClient,
} from '../harness/registry-clients.js';
import { Resources } from '../harness/resources.js';
import { TEST_ADMIN, VaultServer } from '../harness/vault-server.js';

let server: VaultServer;
beforeAll(async () => {
  server = await VaultServer.start({ config: { redis: { encryptCredentialDatabase: true } } });
});
afterAll(() => server.stop());

const resources = new Resources();
afterEach(() => resources.stop());

async function open<T extends RpcClient>(client: T): Promise<T> {
  await client.open();
  resources.defer(() => client.close());
  return client;
}

const POOL = { host: 'xcp1.example.org', username: 'root', password: 'hunter2 hunter2' };

describe('xo-lib', () => {
  const connect = (): Promise<XoClient> => open(new Xo({ url: server.url }));

  test('signs in, calls, and knows its user', async () => {
    const xo = await connect();
    await xo.signIn(TEST_ADMIN);
    expect(xo.user).toMatchObject({ email: TEST_ADMIN.email });
    const id = await xo.call('server.add', POOL);
    const secrets = { password: '***obfuscated***' };
    expect(await xo.call('server.getAll')).toEqual([
      { ...POOL, ...secrets, id, type: 'server', error: undefined },
    ]);
    expect(await xo.call('server.remove', { id })).toBe(true);
  });

  test('signs in with a token that it made', async () => {
    const admin = await connect();
    await admin.signIn(TEST_ADMIN);
    const token = await admin.call('token.create');
    expect(token).toEqual(expect.any(String));
    const other = await connect();
    await other.signIn({ token });
    expect(other.user).toMatchObject({ email: TEST_ADMIN.email });
  });

  test('is told by code 3 that a password is wrong', async () => {
    const xo = await connect();
    const credentials = { email: 'nobody@example.org', password: 'wrong' };
    await expect(xo.signIn(credentials)).rejects.toMatchObject({ code: 3 });
  });

  test('signs in again by itself after the server was restarted', async () => {
    const xo = await connect();
    await xo.signIn(TEST_ADMIN);
    const closed = once(xo, 'closed');
    await server.restart();
    await closed;
    const authenticated = once(xo, 'authenticated');
    await xo.open();
    await authenticated;
    expect(await xo.call('server.getAll')).toEqual([]);
  });
});

describe('jsonrpc-websocket-client', () => {
  const connect = (): Promise<RpcClient> => open(new JsonRpcWebSocketClient(server.webSocketUrl));

  test('signs in, calls, and receives what others change', async () => {
    const watcher = await connect();
    await watcher.call('session.signIn', TEST_ADMIN);
    await watcher.call('xo.getAllObjects');
    const entered = once(watcher, 'notification');
    const writer = await connect();
    await writer.call('session.signIn', TEST_ADMIN);
    const id = (await writer.call('server.add', POOL)) as string;
    const [notification] = (await entered) as [{ method: string; params: unknown }];
    expect(notification).toMatchObject({
      method: 'all',
      params: { type: 'enter', items: { [id]: { type: 'server', host: POOL.host } } },
    });
    expect(JSON.stringify(notification)).not.toContain(POOL.password);
    const left = once(watcher, 'notification');
    await writer.call('server.remove', { id });
    expect((await left)[0]).toMatchObject({ params: { type: 'exit', items: { [id]: 0 } } });
  });

  test('gets the errors of the protocol with code and data', async () => {
    const client = await connect();
    await expect(client.call('server.getAll')).rejects.toMatchObject({ code: 2 });
    await expect(client.call('no.such')).rejects.toMatchObject({ code: -32601, data: 'no.such' });
    await client.call('session.signIn', TEST_ADMIN);
    await expect(client.call('server.add', { host: 1 })).rejects.toMatchObject({
      code: 10,
      data: {
        errors: expect.arrayContaining([expect.objectContaining({ instancePath: '/host' })]),
      },
    });
  });
});

/**
 * The examples of https://www.jsonrpc.org/specification §7, on the wire as they stand there, with a method of ours where
 * the specification makes one up: `subtract` is `system.methodSignature`, `update` is any call without an id.
 */
describe("JSON-RPC 2.0's own examples", () => {
  /** Sends one frame, waits for `count` answers, and makes sure by another call that no more come. */
  async function exchange(text: string, count: number): Promise<unknown[]> {
    const socket = new WebSocket(server.webSocketUrl);
    resources.defer(() => socket.terminate());
    await once(socket, 'open');
    const answers: unknown[] = [];
    const next = async (): Promise<void> => {
      const [data] = (await once(socket, 'message')) as [Buffer];
      answers.push(JSON.parse(data.toString()));
    };
    socket.send(text);
    for (let n = 0; n < count; n += 1) await next();
    socket.send('{"jsonrpc": "2.0", "method": "system.getServerVersion", "id": "the end"}');
    await next();
    expect(answers.pop()).toMatchObject({ id: 'the end' });
    return answers;
  }

  const error = (code: number, id: unknown): object => ({
    jsonrpc: '2.0',
    id,
    error: expect.objectContaining({ code, message: expect.any(String) }),
  });
  const version = (id: unknown): object => ({ jsonrpc: '2.0', id, result: expect.any(String) });

  test.each<[string, string, unknown[]]>([
    [
      'rpc call with named parameters',
      '{"jsonrpc": "2.0", "method": "system.methodSignature", "params": {"name": "server.get"}, "id": 3}',
      [{ jsonrpc: '2.0', id: 3, result: [expect.any(Object)] }],
    ],
    ['a notification', '{"jsonrpc": "2.0", "method": "system.getServerVersion", "params": {}}', []],
    [
      'a notification of a method that does not exist',
      '{"jsonrpc": "2.0", "method": "foobar"}',
      [],
    ],
    [
      'rpc call of non-existent method',
      '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
      [error(-32601, '1')],
    ],
    [
      'rpc call with invalid JSON',
      '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
      [error(-32700, null)],
    ],
    [
      'rpc call with invalid Request object',
      '{"jsonrpc": "2.0", "method": 1, "params": "bar"}',
      [error(-32600, null)],
    ],
    [
      'rpc call Batch, invalid JSON',
      '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]',
      [error(-32700, null)],
    ],
    ['rpc call with an empty Array', '[]', [error(-32600, null)]],
    ['rpc call with an invalid Batch (but not empty)', '[1]', [[error(-32600, null)]]],
    [
      'rpc call with invalid Batch',
      '[1,2,3]',
      [[error(-32600, null), error(-32600, null), error(-32600, null)]],
    ],
    [
      'rpc call Batch',
      `[
        {"jsonrpc": "2.0", "method": "system.getServerVersion", "id": "1"},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
        {"jsonrpc": "2.0", "method": "system.getServerVersion", "params": {}, "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "system.getServerVersion", "id": "9"}
      ]`,
      [[version('1'), version('2'), error(-32600, null), error(-32601, '5'), version('9')]],
    ],
    [
      'rpc call Batch (all notifications)',
      '[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]}, {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]',
      [],
    ],
  ])('%s', async (_name, text, answers) => {
    expect(await exchange(text, answers.length)).toEqual(answers);
  });

  test('64-bit ids come back digit by digit', async () => {
    const socket = new WebSocket(server.webSocketUrl);
    resources.defer(() => socket.terminate());
    await once(socket, 'open');
    for (const id of ['-9223372036854775808', '9223372036854775807', '9007199254740993']) {
      socket.send(`{"jsonrpc":"2.0","id":${id},"method":"system.getServerVersion"}`);
      const [data] = (await once(socket, 'message')) as [Buffer];
      expect(data.toString()).toMatch(new RegExp(`"id":${id}[,}]`));
    }
  });
});
