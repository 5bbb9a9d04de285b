/** Servers that cannot take part in a rotation: nothing happens without them. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { copyFileSync, rmSync } from 'node:fs';
import { addSecrets, expectSecrets } from '../harness/secret-records.js';
import { ServerGroup } from '../harness/server-group.js';

/** The code of FORBIDDEN_OPERATION in protocol.ts. */
const FORBIDDEN_OPERATION = 5;

let group: ServerGroup;
beforeAll(async () => {
  group = await ServerGroup.start();
});
afterAll(() => group.stop());

test('a server that cannot confirm the new key stops the rotation, and is named', async () => {
  const ownHalfB = `${group.halfBPath}-of-its-own`;
  const first = await group.prepare();
  const one = await group.launch(first);
  await addSecrets(one, 20);
  copyFileSync(group.halfBPath, ownHalfB);
  const apart = await group.prepare(true, ownHalfB);
  const two = await group.launch(apart);
  const stalled = await group.prepare();
  const three = await group.launch(stalled);
  const { activeKeyId: oldKeyId } = (await one.call('encryption.getStatus')) as {
    activeKeyId: string;
  };

  process.kill(stalled.pid, 'SIGSTOP');
  await expect(one.call('encryption.rotateKeys')).rejects.toMatchObject({
    code: FORBIDDEN_OPERATION,
    message: expect.stringMatching(
      new RegExp(`not confirmed by (?=.*process ${apart.pid} on )(?=.*process ${stalled.pid} on )`),
    ),
  });
  expect(await one.call('encryption.getStatus')).toMatchObject({
    state: 'encrypted',
    activeKeyId: oldKeyId,
    inactiveKeyIds: [],
  });
  await Promise.all([one, two].map((client) => expectSecrets(client, 20)));

  // By now the stalled one counts as gone, and the one with a half of its own is stopped: it can be done.
  await apart.terminate();
  const { activeKeyId } = (await one.call('encryption.rotateKeys')) as { activeKeyId: string };

  // The stalled one wakes up with the old key only, and catches up before it reads or writes anything.
  process.kill(stalled.pid, 'SIGCONT');
  await three.call('secret.add', { name: 'added by the one that stalled', value: 'x' });
  await Promise.all([one, three].map((client) => expectSecrets(client, 20, 1)));

  // It comes back with its old half: degraded, with the reason, until it has the new one.
  await apart.launch();
  expect(apart.state).toBe('degraded');
  expect(apart.stderr).toContain(
    'vault:crypto-credentials ERROR Credential database decryption failed - running in degraded mode',
  );
  expect(apart.stderr).toContain(`neededKeyId: '${activeKeyId}'`);
  await apart.terminate();
  rmSync(ownHalfB);
  copyFileSync(group.halfBPath, ownHalfB);
  await expectSecrets(await group.launch(apart), 20, 1);
});
