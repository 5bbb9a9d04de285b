/** The life of a key where several server processes share one Redis. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { RpcClient } from '../harness/registry-clients.js';
import { Resources } from '../harness/resources.js';
import { addSecrets, expectSecrets, writeUntilStopped } from '../harness/secret-records.js';
import { ServerGroup } from '../harness/server-group.js';
import { VaultCli } from '../harness/vault-cli.js';
import { TEST_ADMIN, type VaultServer } from '../harness/vault-server.js';

const BASIC = `Basic ${Buffer.from(`${TEST_ADMIN.email}:${TEST_ADMIN.password}`).toString('base64')}`;
/** Enough for several batches of a rekey. */
const RECORDS = 1200;
const POLL_MS = 50;

interface Status {
  readonly state: string;
  readonly activeKeyId: string;
  readonly inactiveKeyIds: readonly string[];
  readonly processes: readonly { readonly pid: number }[];
  readonly rotation: { readonly isDue: boolean; readonly dueAt: string };
}

let group: ServerGroup;
let resources: Resources;
beforeEach(async () => {
  resources = new Resources();
  group = resources.use(await ServerGroup.start());
});
afterEach(() => resources.stop());

const statusOf = async (client: RpcClient): Promise<Status> =>
  (await client.call('encryption.getStatus')) as Status;
function lineIds(text: string): string[] {
  return text
    .trim()
    .split('\n')
    .map((line) => line.slice(0, 16));
}

describe('two servers on one Redis', () => {
  test('start together: one encrypts, the other waits, both serve under one key', async () => {
    const first = await group.prepare(false);
    const second = await group.prepare();
    await addSecrets(await group.launch(first), 300);
    await first.terminate();

    first.configure({ redis: group.redisTable(true) });
    const clients = await Promise.all([group.launch(first), group.launch(second)]);
    const [one, two] = await Promise.all(clients.map(statusOf));
    expect(one).toMatchObject({ state: 'encrypted', activeKeyId: two?.activeKeyId });
    expect(lineIds(readFileSync(group.halfBPath, 'utf8'))).toEqual([one?.activeKeyId]);
    expect(lineIds(await group.readHalfA())).toEqual([one?.activeKeyId]);
    expect(one?.processes.map(({ pid }) => pid)).toContain(second.pid);
    await Promise.all(clients.map((client) => expectSecrets(client, 300)));
  });

  test('rotate while both are read and written, and delete the old key', async () => {
    const [first, second] = [await group.prepare(), await group.prepare()];
    const one = await group.launch(first);
    const two = await group.launch(second);
    await addSecrets(one, RECORDS);
    const before = await statusOf(one);
    const cli = resources.use(new VaultCli());
    await cli.succeed(['register', first.url, TEST_ADMIN.email], TEST_ADMIN.password);

    const load = writeUntilStopped([one, two]);
    const report = JSON.parse(await cli.succeed(['--json', 'encryption.rotateKeys'])) as object;
    const written = await load.stop();
    expect(written).toBeGreaterThan(0);
    expect(report).toEqual({
      activeKeyId: expect.stringMatching(/^[0-9a-f]{16}$/),
      previousKeyId: before.activeKeyId,
      records: expect.any(Number),
    });
    expect(await statusOf(two)).toMatchObject({
      state: 'encrypted',
      inactiveKeyIds: [before.activeKeyId],
    });
    await expectSecrets(two, RECORDS, written);

    // Over HTTP, at the server that did not rotate.
    const inactive = `${second.url}/rest/secrets/1.0/keys/inactive`;
    const headers = { authorization: BASIC };
    const answers = [
      await fetch(inactive, { headers }),
      await fetch(inactive, { method: 'DELETE', headers }),
      await fetch(`${inactive}?now=true`, { method: 'DELETE', headers }),
    ];
    const nothing = { deletedKeys: [], condemnedKeys: [], notErased: [] };
    const keyId = before.activeKeyId;
    expect(await Promise.all(answers.map((answer) => answer.json()))).toEqual([
      { inactiveKeys: [keyId] },
      // Half B is in a place that a copy of these machines would reach, too.
      {
        ...nothing,
        condemnedKeys: [{ keyId, since: expect.any(String), until: expect.any(String) }],
      },
      { ...nothing, deletedKeys: [keyId] },
    ]);
    expect(lineIds(readFileSync(group.halfBPath, 'utf8'))).toHaveLength(1);
    expect(lineIds(await group.readHalfA())).toHaveLength(1);
    await expectSecrets(one, RECORDS, written);
  });

  test.each([
    ['the other goes on', false],
    ['the next start goes on, where both are killed', true],
  ])('killed in the middle of a rotation: %s', async (_, areBothKilled) => {
    const [first, second] = [await group.prepare(), await group.prepare()];
    const one = await group.launch(first);
    let two = await group.launch(second);
    await addSecrets(one, RECORDS);
    const { activeKeyId } = await statusOf(one);
    const rekeying = new Promise<unknown>((resolve) => {
      one.on(
        'notification',
        ({ method, params }: { method: string; params: { phase: string } }) => {
          if (method === 'progress' && params.phase === 'refile') resolve(params);
        },
      );
    });
    const rotation = one.call('encryption.rotateKeys').catch((error: unknown) => error);
    await rekeying;
    await Promise.all([first.kill(), ...(areBothKilled ? [second.kill()] : [])]);
    expect(await rotation).toBeInstanceOf(Error);

    if (areBothKilled) two = await group.launch(second);
    const after = await until(
      () => statusOf(two),
      ({ state }) => state === 'encrypted',
    );
    expect(after.inactiveKeyIds).toEqual([activeKeyId]);
    expect(second.stderr).toContain('Every record is under the new key');
    await expectSecrets(two, RECORDS);
    expect(await two.call('encryption.verify')).toMatchObject({ isSound: true });
    await expectSecrets(await group.launch(first), RECORDS);
  });
});

test('a key that is due is said so in log, status and metrics', async () => {
  const server = await group.prepare();
  await server.launch();
  await server.restart({
    keystore: { ...keystoreOf(server), rotateAfter: '1s' },
  });
  const young = await group.signIn(server);
  // oxlint-disable-next-line no-await-in-loop -- each answer is a turn of the event loop of both
  while (!(await statusOf(young)).rotation.isDue);
  // Its age is looked at when it starts, and is over a second by now.
  await server.restart({});
  const client = await group.signIn(server);
  const { rotation } = await statusOf(client);
  expect(rotation).toMatchObject({ isDue: true, reason: 'the key is 0 days old' });
  const said = /vault:keys WARN A rotation of the encryption key is due \{ keyId/;
  // oxlint-disable-next-line no-await-in-loop -- as above
  while (!said.test(server.stderr)) await fetch(server.url);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toMatch(/^vault_key_rotation_due 1$/m);
  expect(metrics).toMatch(/^vault_key_age_seconds \d/m);
  expect((await server.run(['status'])).stdout).toMatch(
    /rotation +due: the key is 0 days old; run/,
  );
});

/** The keystore table of the written configuration. */
function keystoreOf(server: VaultServer): Record<string, object> {
  expect(server.readConfig()).toContain('[keystore');
  return {
    halfA: { source: 'xenstore' },
    halfB: { source: 'file', path: group.halfBPath, shared: true },
  };
}

/** Asks again and again until the answer fits; the limit is that of the test. */
async function until<T>(ask: () => Promise<T>, fits: (answer: T) => boolean): Promise<T> {
  for (;;) {
    // oxlint-disable no-await-in-loop -- a state of another process is polled
    const answer = await ask();
    if (fits(answer)) return answer;
    await delay(POLL_MS);
    // oxlint-enable no-await-in-loop
  }
}
