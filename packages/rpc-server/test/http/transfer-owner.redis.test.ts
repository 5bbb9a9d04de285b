/** A transfer under way ends with the right of whoever asked for it. */
import { EventEmitter, once } from 'node:events';
import { request } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { ConfigBackup } from '../../src/backup/port.js';
import { AUDIT_MESSAGE } from '../../src/log.js';
import type { DownloadOffer, UploadOffer } from '../../src/protocol.js';
import { unauthorized } from '../../src/rpc/api-error.js';
import { ApiFixture, IMPORTED } from '../api-fixture.js';
import type { RecordingLogger } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';

const OPEN = { allowUnprotected: true };
/** `began` and `ended` of each import; of what was uploaded, nothing is kept of one that failed. */
const imports = new EventEmitter();
let kept: string[] = [];
let opened: Readable;

const BACKUP: ConfigBackup = {
  export: () => ({
    fileName: 'vault-config.json',
    contentType: 'application/json',
    // Gives its beginning, and would give more for ever.
    open: async () => {
      opened = new Readable({ read: () => undefined });
      opened.push('the beginning');
      return opened;
    },
    records: 0,
    leftOut: 0,
    leftOutNames: '',
  }),
  import: async (body, _, assertStill) => {
    imports.emit('began');
    try {
      const whole = await text(body);
      await assertStill?.();
      kept.push(whole);
      return IMPORTED;
    } finally {
      imports.emit('ended');
    }
  },
};

interface Owner {
  readonly admin: RpcClient;
  readonly client: RpcClient & { userId: string };
}

let fixture: ApiFixture;
/** Asks so seldom that only what is asked at the end counts. */
let seldom: ApiFixture;
beforeAll(async () => {
  fixture = await ApiFixture.start({ backup: BACKUP, limits: { rightsRecheckMs: 200 } });
  seldom = await ApiFixture.start({ backup: BACKUP, limits: { rightsRecheckMs: 60_000 } });
});
afterEach(() => {
  kept = [];
});
afterAll(async () => {
  await fixture?.stop();
  await seldom?.stop();
});

async function ownerAt(server: ApiFixture): Promise<Owner> {
  return { admin: await server.signIn(), client: await server.userWith('admin') };
}

const LOSSES: readonly [string, (owner: Owner) => Promise<unknown>][] = [
  [
    'demoted',
    ({ admin, client }) => admin.call('user.set', { id: client.userId, permission: 'write' }),
  ],
  ['removed', ({ admin, client }) => admin.call('user.delete', { id: client.userId })],
  [
    'given another password',
    ({ admin, client }) => admin.call('user.set', { id: client.userId, password: 'set by admin' }),
  ],
];

/** An upload whose first half was sent and is being read. */
async function halfUploaded({ url }: ApiFixture, { client }: Owner): Promise<ClientRequest> {
  const { $sendTo } = await client.call<UploadOffer>('system.importConfig', OPEN);
  const headers = { 'content-length': '8' };
  const sent = request(`${url}${$sendTo}`, { method: 'POST', headers });
  const began = once(imports, 'began');
  sent.write('half');
  await began;
  return sent;
}

async function refusalOf(sent: ClientRequest): Promise<number | undefined> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  expect(await text(response)).toContain('who asked for the transfer lost them');
  return response.statusCode;
}

function expectToldOf(logger: RecordingLogger, kind: string, { client }: Owner): void {
  expect(logger.lines).toContainEqual({
    level: 'error',
    message: `${kind} failed`,
    data: { reason: expect.stringContaining('who asked for the transfer lost them') },
  });
  expect(logger.lines).toContainEqual({
    level: 'info',
    message: AUDIT_MESSAGE,
    data: expect.objectContaining({
      action: kind === 'upload' ? 'importConfig ended' : 'exportConfig ended',
      userId: client.userId,
    }),
  });
}

describe.each(LOSSES)('when its owner is %s', (_, lose) => {
  test('an export that runs is cut', async () => {
    const owner = await ownerAt(fixture);
    const { $getFrom } = await owner.client.call<DownloadOffer>('system.exportConfig', {});
    const response = await fetch(`${fixture.url}${$getFrom}`);
    const read = response.text();
    read.catch(() => undefined);
    const source = opened;
    await lose(owner);
    await expect(read).rejects.toThrow('terminated');
    if (!source.closed) await once(source, 'close');
    expectToldOf(fixture.logger, 'download', owner);
  });

  test('an import that runs is refused while the rest is awaited', async () => {
    const owner = await ownerAt(fixture);
    const sent = await halfUploaded(fixture, owner);
    const ended = once(imports, 'ended');
    const refused = refusalOf(sent);
    await lose(owner);
    await ended;
    expect(await refused).toBe(403);
    expect(kept).toEqual([]);
    expectToldOf(fixture.logger, 'upload', owner);
    sent.destroy();
  });

  test('an import that is whole afterwards is refused at its end', async () => {
    const owner = await ownerAt(seldom);
    const sent = await halfUploaded(seldom, owner);
    await lose(owner);
    const refused = refusalOf(sent);
    sent.end('half');
    expect(await refused).toBe(403);
    expect(kept).toEqual([]);
    expectToldOf(seldom.logger, 'upload', owner);
  });
});

test('an export that is still being prepared is given up, and what it opens late is closed', async () => {
  let isLost = false;
  const late = new Readable({ read: () => undefined });
  const steps = new EventEmitter();
  const offer = fixture.api.serving?.services.transfers.offerDownload(
    {
      fileName: 'late',
      contentType: 'text/plain',
      open: async () => {
        isLost = true;
        steps.emit('opening');
        await once(steps, 'prepared');
        return late;
      },
    },
    {
      userId: 'somebody',
      tokenId: undefined,
      check: () => (isLost ? Promise.reject(unauthorized('admin')) : Promise.resolve()),
    },
  );
  const response = await fetch(`${fixture.url}${offer?.$getFrom}`);
  expect(response.status).toBe(403);
  const closed = once(late, 'close');
  steps.emit('prepared');
  await closed;
});
