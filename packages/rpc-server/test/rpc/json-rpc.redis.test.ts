/** JSON-RPC 2.0 (its specification's own examples, on our methods) and the hard rules of xo-cli. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiFixture } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';

let fixture: ApiFixture;
let client: RpcClient;
beforeAll(async () => {
  fixture = await ApiFixture.start();
  client = await fixture.signIn();
});
afterAll(async () => fixture?.stop());

async function parsed(text: string): Promise<unknown> {
  return JSON.parse(await client.exchange(text));
}

describe('one call', () => {
  test('gives back the very id, down to the smallest safe integer, and any string', async () => {
    for (const id of ['-9007199254740991', '0', '"a\\"b"', 'null']) {
      const text = `{"id":${id},"jsonrpc":"2.0","method":"system.getVersion"}`;
      const answer = await client.exchange(text);
      expect(JSON.parse(answer)).toEqual({
        jsonrpc: '2.0',
        id: JSON.parse(id) as unknown,
        result: '0.1',
      });
    }
  });

  test('gives back the digits of 64-bit ids', async () => {
    for (const id of ['9223372036854775807', '-9223372036854775808', '18446744073709551615']) {
      const answer = await client.exchange(
        `{"jsonrpc":"2.0","method":"system.getVersion","params":{},"id":${id}}`,
      );
      expect(answer).toContain(`"id":${id},`);
    }
  });

  test('takes parameters by name and by position', async () => {
    const byName = { name: 'system.getVersion' };
    expect(await client.call('system.methodSignature', byName)).toEqual([{}]);
    expect(await client.call('system.methodSignature', ['system.getVersion'])).toEqual([{}]);
  });

  test('answers true where a method gives nothing, and keeps null', async () => {
    const stranger = await fixture.connect();
    expect(await stranger.call('session.getUser')).toBeNull();
    const user = await fixture.userWith('read');
    expect(await user.call('session.signOut', {})).toBe(true);
  });

  test('names an unknown method', async () => {
    expect(await parsed('{"jsonrpc":"2.0","method":"foobar","id":"1"}')).toEqual({
      jsonrpc: '2.0',
      id: '1',
      error: { code: -32601, message: 'method not found: foobar', data: 'foobar' },
    });
  });

  test.each(['constructor', '__proto__', 'toString'])('does not find a method %s', async (name) => {
    await expect(client.call(name)).rejects.toMatchObject({ code: -32601 });
  });

  test.each([
    ['{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', -32700],
    ['{"jsonrpc": "2.0", "method": 1, "params": "bar"}', -32600],
    ['{"method": "system.getVersion", "id": null}', -32600],
    ['[]', -32600],
    ['1', -32600],
    ['null', -32600],
    ['', -32700],
  ])('answers %p with code %p and no id', async (text, code) => {
    expect(await parsed(text)).toMatchObject({ jsonrpc: '2.0', id: null, error: { code } });
  });

  test('takes binary frames that hold JSON', async () => {
    client.socket.send(Buffer.from('{"jsonrpc":"2.0","method":"system.getVersion","id":1}'));
    expect(JSON.parse(await client.frame())).toMatchObject({ id: 1, result: '0.1' });
  });
});

describe('what gets no answer', () => {
  test.each([
    '{"jsonrpc":"2.0","method":"system.getVersion"}',
    '{"jsonrpc":"2.0","method":"foobar","params":[1]}',
    '{"jsonrpc":"2.0","method":"server.get","params":{}}',
    '[{"jsonrpc":"2.0","method":"system.getVersion"},{"jsonrpc":"2.0","method":"foobar"}]',
    '{"jsonrpc":"2.0","id":7,"result":1}',
    '{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}',
  ])('%s', async (text) => {
    client.socket.send(text);
    // The first frame that comes back is that of the next call.
    expect(await client.call('system.getVersion')).toBe('0.1');
  });

  test('a notification acts all the same', async () => {
    const params = { name: 'by notification', value: 'x' };
    client.socket.send(JSON.stringify({ jsonrpc: '2.0', method: 'secret.add', params }));
    // In order on one socket and one Redis connection, so the add is done before the read.
    const found = await client.call<unknown[]>('secret.getAll', { filter: { name: params.name } });
    expect(found).toHaveLength(1);
  });
});

describe('a batch', () => {
  const call = (id: number) => ({ jsonrpc: '2.0', id, method: 'system.getVersion' });

  test('is answered by an array with one answer a call, notifications left out', async () => {
    const text = JSON.stringify([
      call(1),
      { jsonrpc: '2.0', method: 'system.getVersion' },
      { foo: 'boo' },
      { jsonrpc: '2.0', id: 5, method: 'foobar' },
      1,
    ]);
    expect(await parsed(text)).toEqual([
      { jsonrpc: '2.0', id: 1, result: '0.1' },
      { jsonrpc: '2.0', id: null, error: expect.objectContaining({ code: -32600 }) },
      { jsonrpc: '2.0', id: 5, error: expect.objectContaining({ code: -32601 }) },
      { jsonrpc: '2.0', id: null, error: expect.objectContaining({ code: -32600 }) },
    ]);
  });

  test('of one call is answered by an array too', async () => {
    expect(await parsed(JSON.stringify([call(1)]))).toEqual([
      { jsonrpc: '2.0', id: 1, result: '0.1' },
    ]);
  });

  test('keeps the digits of each id', async () => {
    const ids = ['9223372036854775807', '2', '9223372036854775806'];
    const calls = ids.map((id) => `{"jsonrpc":"2.0","id":${id},"method":"system.getVersion"}`);
    const answer = await client.exchange(`[${calls.join(',')}]`);
    for (const id of ids) expect(answer).toContain(`"id":${id},`);
  });

  test('of 20 calls is taken, of 21 refused as a whole', async () => {
    const twenty = Array.from({ length: 20 }, (_, id) => call(id));
    expect(await parsed(JSON.stringify(twenty))).toHaveLength(20);
    expect(await parsed(JSON.stringify([...twenty, call(20)]))).toMatchObject({
      id: null,
      error: { code: -32600, message: 'a batch has at most 20 calls' },
    });
  });

  test('signs nobody in', async () => {
    const methods = ['session.signIn', 'session.signInWithPassword', 'session.signInWithToken'];
    const guesses = methods.map((method, id) => ({ jsonrpc: '2.0', id, method, params: {} }));
    const stranger = await fixture.connect();
    const answers = JSON.parse(await stranger.exchange(JSON.stringify(guesses))) as unknown[];
    expect(answers).toHaveLength(3);
    for (const answer of answers) expect(answer).toMatchObject({ error: { code: 5 } });
  });
});

describe('the connection', () => {
  test('answers a Close at once', async () => {
    const other = await fixture.connect();
    expect(await other.close()).toBe(1005);
  });

  test('is only at exactly /api/', async () => {
    const url = fixture.url.replace('http', 'ws');
    for (const path of ['/api', '/api/?x=1', '/', '/api/consoles/1']) {
      const { WebSocket } = await import('ws');
      const socket = new WebSocket(`${url}${path}`);
      const status = await new Promise((resolve) => {
        socket.once('unexpected-response', (_request, response) => resolve(response.statusCode));
        socket.once('error', resolve);
      });
      expect(status).toBe(404);
      socket.terminate();
    }
  });
});
