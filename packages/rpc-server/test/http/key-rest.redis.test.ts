import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ADMIN, ApiFixture, NO_BACKUP } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';

const ROTATE = '/rest/secrets/1.0/keys/rotate';
const INACTIVE = '/rest/secrets/1.0/keys/inactive';
const CHANGE = '/rest/admin/1.0/encryption/changeKey';
const KEY_ID = /^[0-9a-f]{16}$/;

let fixture: ApiFixture;
let admin: RpcClient;
beforeAll(async () => {
  fixture = await ApiFixture.start({ limits: { throttledWaitMs: 0 } });
  admin = await fixture.signIn();
});
beforeEach(() => {
  fixture.clock.aheadMs += 2000;
});
afterAll(async () => fixture?.stop());

function basic(email: string, password: string): string {
  return `Basic ${Buffer.from(`${email}:${password}`).toString('base64')}`;
}
const AUTHORIZATION = basic(ADMIN.email, ADMIN.password);

async function send(
  method: string,
  path: string,
  headers: Record<string, string> = { authorization: AUTHORIZATION },
) {
  const response = await fetch(`${fixture.url}${path}`, { method, headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

describe('key management', () => {
  test('rotates, lists the old key as inactive, and deletes it; records stay readable', async () => {
    const id = await admin.call<string>('secret.add', { name: 'kept', value: 'readable' });
    expect(await send('POST', ROTATE)).toMatchObject({
      status: 200,
      body: { status: 'SUCCESS', message: expect.stringContaining('is active') },
    });
    const listed = await send('GET', INACTIVE);
    expect(listed).toMatchObject({
      status: 200,
      body: { inactiveKeys: [expect.stringMatching(KEY_ID)] },
    });
    expect(await admin.call('encryption.getInactiveKeys')).toEqual(
      (listed.body as { inactiveKeys: string[] }).inactiveKeys,
    );
    expect(await admin.call('secret.reveal', { id })).toMatchObject({ value: 'readable' });
    expect(await send('DELETE', INACTIVE)).toEqual(
      expect.objectContaining({
        status: 200,
        body: {
          deletedKeys: (listed.body as { inactiveKeys: string[] }).inactiveKeys,
          condemnedKeys: [],
          notErased: [],
        },
      }),
    );
    expect(await send('GET', INACTIVE)).toMatchObject({ body: { inactiveKeys: [] } });
    expect(await admin.call('secret.reveal', { id })).toMatchObject({ value: 'readable' });
  }, 30_000);

  test('has the older path for the same, and a method of the API with progress', async () => {
    expect(await send('PUT', CHANGE)).toMatchObject({ status: 200, body: { status: 'SUCCESS' } });
    expect(await admin.call('encryption.rotateKeys')).toEqual({
      activeKeyId: expect.stringMatching(KEY_ID),
      previousKeyId: expect.stringMatching(KEY_ID),
      records: expect.any(Number),
    });
    expect(admin.notifications).toContainEqual(
      expect.objectContaining({
        method: 'progress',
        params: expect.objectContaining({ operation: 'encryption.rotateKeys' }),
      }),
    );
    const deleted = await admin.call<object>('encryption.deleteInactiveKeys', { now: true });
    const ids = [expect.stringMatching(KEY_ID), expect.stringMatching(KEY_ID)];
    expect(deleted).toEqual({ deletedKeys: ids, condemnedKeys: [], notErased: [] });
    // Nothing is lost: there is nothing to put back.
    expect(await admin.call('encryption.putBackKeys')).toEqual([]);
  }, 30_000);

  test('refuses a parameter that is neither true nor false', async () => {
    expect(await send('DELETE', `${INACTIVE}?now=perhaps`)).toMatchObject({
      status: 406,
      body: { message: expect.stringContaining('true or false') },
    });
    expect(await send('DELETE', `${INACTIVE}?now=true`)).toMatchObject({ status: 200 });
  }, 30_000);

  test('refuses with 406, and says why, while Redis keeps nothing on disk', async () => {
    const redis = fixture.store.redis.client();
    await send('POST', ROTATE);
    await redis.config('SET', 'appendonly', 'no');
    expect(await send('DELETE', INACTIVE)).toMatchObject({
      status: 406,
      body: { message: expect.stringContaining('keeps nothing on disk'), status: 'FAILED' },
    });
    await redis.config('SET', 'appendonly', 'yes');
    expect(await send('GET', INACTIVE)).toMatchObject({
      body: { inactiveKeys: [expect.stringMatching(KEY_ID)] },
    });
  }, 30_000);
});

describe('credentials', () => {
  test('can be a token, as bearer or in the cookies of Xen Orchestra and Crowd', async () => {
    const token = await admin.call<string>('token.create', {});
    for (const headers of [
      { authorization: `Bearer ${token}` },
      { cookie: `other=1; authenticationToken=${token}` },
      { cookie: `crowd.token_key=${token}` },
    ]) {
      expect(await send('GET', INACTIVE, headers as Record<string, string>)).toMatchObject({
        status: 200,
      });
    }
  });

  test('that are missing or wrong are 401, with how to authenticate', async () => {
    const none = await send('GET', INACTIVE, {});
    expect(none.status).toBe(401);
    expect(none.headers.get('www-authenticate')).toContain('Basic');
    expect(none.body).toEqual({ message: expect.any(String), status: 'FAILED' });
    for (const authorization of [
      basic('nobody', 'x'),
      basic('nobody', ''),
      'Basic !',
      'Bearer x',
      'Digest x',
    ]) {
      expect(await send('POST', ROTATE, { authorization })).toMatchObject({ status: 401 });
    }
  });

  test('of somebody who is no administrator are 401', async () => {
    const writer = await fixture.userWith('write');
    const { email } = await writer.call<{ email: string }>('session.getUser');
    const authorization = basic(email, 'long enough');
    expect(await send('DELETE', INACTIVE, { authorization })).toMatchObject({ status: 401 });
  });

  test('are throttled as those of the API', async () => {
    const wrong = basic(ADMIN.email, 'wrong');
    expect(await send('GET', INACTIVE, { authorization: wrong })).toMatchObject({ status: 401 });
    expect(await send('GET', INACTIVE)).toMatchObject({ status: 429 });
    fixture.clock.aheadMs += 2000;
    expect(await send('GET', INACTIVE)).toMatchObject({ status: 200 });
  });
});

describe('failures', () => {
  test('degraded is 503', async () => {
    fixture.api.setState({ mode: 'degraded', reason: 'oneHalf' });
    expect(await send('GET', INACTIVE)).toMatchObject({
      status: 503,
      body: { status: 'FAILED', message: expect.stringContaining('degraded') },
    });
    const { database } = fixture.store;
    fixture.api.setState({ mode: 'serving', database, backup: NO_BACKUP });
  });

  test('another method of the path is 404', async () => {
    const response = await fetch(`${fixture.url}${ROTATE}`, {
      headers: { authorization: AUTHORIZATION },
    });
    expect(response.status).toBe(404);
  });
});
