import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SECRET_MASK } from '../../src/protocol.js';
import { ApiFixture } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';

let fixture: ApiFixture;
let admin: RpcClient;
let writer: RpcClient;
beforeAll(async () => {
  fixture = await ApiFixture.start();
  admin = await fixture.signIn();
  writer = await fixture.userWith('write');
});
afterAll(async () => fixture?.stop());

let hosts = 0;
function newServer(more: object = {}): object {
  hosts += 1;
  return { host: `host${hosts}.example.org`, username: 'root', password: 'MARKER-SECRET', ...more };
}

describe('a record', () => {
  test('comes back masked from everything but reveal', async () => {
    const id = await writer.call<string>('server.add', newServer({ label: 'east' }));
    const object = await writer.call('server.get', { id });
    expect(object).toMatchObject({ id, type: 'server', label: 'east', password: SECRET_MASK });
    const all = await writer.call('xo.getAllObjects', {});
    expect(JSON.stringify([object, all, await writer.call('server.getAll')])).not.toContain(
      'MARKER',
    );
    expect(await admin.call('server.reveal', { id })).toMatchObject({ password: 'MARKER-SECRET' });
  });

  test('with a field called type keeps it, and comes back as it can be sent', async () => {
    const id = await writer.call<string>('directory.add', { name: 'staff', type: 'ldap' });
    const object = await writer.call<object>('directory.get', { id });
    expect(object).toEqual({ id, name: 'staff', type: 'ldap' });
    await writer.call('directory.set', object);
    expect(await writer.call('directory.getAll', { filter: { type: 'ldap' } })).toEqual([object]);
    expect(await admin.call('directory.reveal', { id })).toEqual(object);
    const typed = await writer.call<object>('xo.getAllObjects', { filter: { type: 'directory' } });
    expect(Object.keys(typed)).toEqual([id]);
  });

  test('is in the audit log under who added it, though they sign out meanwhile', async () => {
    const user = await fixture.userWith('write');
    const request = { jsonrpc: '2.0', id: 'add', method: 'server.add', params: newServer() };
    user.socket.send(JSON.stringify(request));
    user.socket.send(JSON.stringify({ jsonrpc: '2.0', id: 'leave', method: 'session.signOut' }));
    let id: string | undefined;
    while (id === undefined) {
      const answer = JSON.parse(await user.frame()) as { id?: string; result?: string };
      if (answer.id === 'add') id = answer.result;
    }
    expect(fixture.logger.lines).toContainEqual({
      level: 'info',
      message: 'audit',
      data: expect.objectContaining({ action: 'add', userId: user.userId, id }),
    });
  });

  test('keeps a secret that is set to the mask, and changes what else is named', async () => {
    const id = await writer.call<string>('server.add', newServer({ label: 'old' }));
    await writer.call('server.set', { id, password: SECRET_MASK, label: 'new' });
    expect(await admin.call('server.reveal', { id })).toMatchObject({
      password: 'MARKER-SECRET',
      label: 'new',
      username: 'root',
    });
    await writer.call('server.set', { id, password: 'other', label: null });
    const revealed = await admin.call('server.reveal', { id });
    expect(revealed).toMatchObject({ password: 'other' });
    expect(revealed).not.toHaveProperty('label');
  });

  test('is not added with the mask as its secret', async () => {
    const added = writer.call('server.add', newServer({ password: SECRET_MASK }));
    await expect(added).rejects.toMatchObject({ code: 5 });
  });

  test('is removed once', async () => {
    const id = await writer.call<string>('server.add', newServer());
    expect(await writer.call('server.remove', { server: id })).toBe(true);
    const missing = { code: 1, message: `no such server ${id}`, data: { id, type: 'server' } };
    for (const name of ['server.remove', 'server.get', 'server.set']) {
      await expect(writer.call(name, { id })).rejects.toMatchObject(missing);
    }
  });

  test('that has a unique value of another is refused, and the other is named', async () => {
    const server = newServer();
    const id = await writer.call<string>('server.add', server);
    await expect(writer.call('server.add', server)).rejects.toMatchObject({
      code: 16,
      data: { objectId: id, objectType: 'server' },
    });
  });

  test.each([
    ['a missing field', { host: 'h' }, 'must have required property'],
    ['an unknown field', newServer({ colour: 'red' }), 'must NOT have additional properties'],
    ['a wrong type', newServer({ enabled: 'yes' }), 'must be boolean'],
  ])('with %s is refused by its schema', async (_, server, message) => {
    const added = writer.call('server.add', server);
    await expect(added).rejects.toMatchObject({ code: 10 });
    await expect(added.catch((error: { data: object }) => error.data)).resolves.toMatchObject({
      errors: expect.arrayContaining([
        expect.objectContaining({ message: expect.stringContaining(message) }),
      ]),
    });
  });

  test('cannot lose a required field', async () => {
    const id = await writer.call<string>('server.add', newServer());
    await expect(writer.call('server.set', { id, host: null })).rejects.toMatchObject({ code: 10 });
    await expect(writer.call('server.set', { id, password: null })).rejects.toMatchObject({
      code: 10,
    });
  });

  test("has Xen Orchestra's names too", async () => {
    const id = await writer.call<string>('remote.create', { name: 'nas', url: 'smb://u:p@nas/x' });
    expect(await writer.call('remote.getAll')).toMatchObject([{ id, url: SECRET_MASK }]);
    expect(await writer.call('remote.delete', { id })).toBe(true);
  });
});

describe('reveal', () => {
  test('needs its own grant, and is written to the log either way, without values', async () => {
    const id = await writer.call<string>('server.add', newServer());
    await expect(writer.call('server.reveal', { id })).rejects.toMatchObject({
      code: 2,
      data: { permission: 'reveal', object: { id, type: 'server' } },
    });
    const revealer = await fixture.userWith('read', { mayReveal: true });
    expect(await revealer.call('server.reveal', { id })).toMatchObject({
      password: 'MARKER-SECRET',
    });
    const audit = fixture.logger.lines.filter(({ data }) => data['id'] === id);
    expect(audit.map(({ data }) => data['action'])).toEqual(['add', 'reveal refused', 'reveal']);
    expect(audit.at(-1)?.data).toEqual({
      action: 'reveal',
      userId: revealer.userId,
      address: '127.0.0.1',
      collection: 'server',
      id,
    });
    expect(fixture.logger.text).not.toContain('MARKER');
  });
});

describe('a list', () => {
  test('is in order of ids, goes on after the last one seen, and filters', async () => {
    for (let i = 0; i < 25; i++) {
      const engine = i % 2 === 0 ? 'postgres' : 'mysql';
      await writer.call('database.add', { name: `db${i}`, engine, port: i });
    }
    const all = await writer.call<{ id: string }[]>('database.getAll');
    const ids = all.map(({ id }) => id);
    expect(ids).toHaveLength(25);
    expect(ids).toEqual(ids.toSorted());
    const seen: string[] = [];
    for (;;) {
      const after = seen.at(-1);
      const query = after === undefined ? { limit: 10 } : { limit: 10, after };
      const page = await writer.call<{ id: string }[]>('database.getAll', query);
      seen.push(...page.map(({ id }) => id));
      if (page.length < 10) break;
    }
    expect(seen).toEqual(ids);
    const filter = { engine: 'MySQL', port: 3 };
    expect(await writer.call('database.getAll', { filter })).toMatchObject([{ name: 'db3' }]);
  });

  test('cannot be filtered by a secret, nor by an unknown field', async () => {
    for (const filter of [{ password: 'MARKER-SECRET' }, { colour: 'red' }]) {
      const asked = writer.call('server.getAll', { filter });
      await expect(asked).rejects.toMatchObject({ code: 10, data: { errors: [{}] } });
    }
  });
});

describe('xo.getAllObjects', () => {
  test('filters after masking, limits, and hides users and tokens', async () => {
    await writer.call('secret.add', { name: 'objects', value: 'MARKER-SECRET' });
    const filter = { type: 'secret', name: 'objects' };
    const found = await writer.call<object>('xo.getAllObjects', { filter });
    expect(Object.values(found)).toMatchObject([{ name: 'objects', value: SECRET_MASK }]);
    const bySecret = { filter: { value: 'MARKER-SECRET' } };
    expect(await writer.call('xo.getAllObjects', bySecret)).toEqual({});
    expect(await writer.call('xo.getAllObjects', { filter: 'MARKER' })).toEqual({});
    expect(await writer.call('xo.getAllObjects', { filter: 'type:secret name:obj' })).toEqual(
      found,
    );
    const types = Object.values(
      await writer.call<Record<string, { type: string }>>('xo.getAllObjects'),
    );
    expect(types.map(({ type }) => type)).not.toContain('user');
    expect(Object.keys(await writer.call<object>('xo.getAllObjects', { limit: 2 }))).toHaveLength(
      2,
    );
  });

  test('gives a stream of lines', async () => {
    const params = { ndjson: true, filter: { type: 'secret' } };
    const { $getFrom } = await writer.call<{ $getFrom: string }>('xo.getAllObjects', params);
    const response = await fetch(`${fixture.url}${$getFrom}`);
    const lines = (await response.text()).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([{ name: 'objects' }]);
  });
});

describe('notifications', () => {
  test('tell readers of what entered and left, masked, and nobody else', async () => {
    const reader = await fixture.userWith('read');
    const nobody = await fixture.userWith('none');
    const stranger = await fixture.connect();
    const server = newServer({ label: 'watched' });
    const id = await writer.call<string>('server.add', server);
    const [entered] = await reader.notified(1);
    expect(entered).toMatchObject({
      method: 'all',
      params: { type: 'enter', items: { [id]: { id, label: 'watched', password: SECRET_MASK } } },
    });
    await writer.call('server.remove', { id });
    expect((await reader.notified(2))[1]).toEqual({
      jsonrpc: '2.0',
      method: 'all',
      params: { type: 'exit', items: { [id]: 0 } },
    });
    // Their sockets got an answer that was sent after the notifications.
    await nobody.call('system.getVersion');
    await stranger.call('system.getVersion');
    expect([...nobody.notifications, ...stranger.notifications]).toEqual([]);
  });

  test('tell the caller of a long call how far it is', async () => {
    const report = await admin.call('encryption.verify');
    expect(report).toBeDefined();
    const progress = admin.notifications.filter(({ method }) => method === 'progress');
    expect(progress.length).toBeGreaterThan(0);
    expect(progress[0]?.params).toEqual({
      operation: 'encryption.verify',
      phase: expect.any(String),
      done: expect.any(Number),
      total: expect.any(Number),
    });
  });
});
