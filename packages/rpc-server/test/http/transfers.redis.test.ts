import { EventEmitter, once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { BackupError, refusedError } from '../../src/backup/errors.js';
import type { ConfigBackup } from '../../src/backup/port.js';
import { RefusedRecords } from '../../src/backup/refused-records.js';
import type { DownloadOffer, UploadOffer } from '../../src/protocol.js';
import { AUDIT_MESSAGE } from '../../src/log.js';
import { ApiFixture, IMPORTED } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';

const OPEN = { allowUnprotected: true };
/** What the next download gives; and what the uploads were. */
let source: () => Readable;
let received: (string | Error)[] = [];
/** `began` and `ended`, for each import. */
const imports = new EventEmitter();

const BACKUP: ConfigBackup = {
  export: () => ({
    fileName: 'vault-config.json',
    contentType: 'application/json',
    open: async () => source(),
    records: 0,
    leftOut: 0,
    leftOutNames: '',
  }),
  import: async (body) => {
    imports.emit('began');
    try {
      const whole = await text(body);
      received.push(whole);
      if (whole.startsWith('bad')) throw new BackupError('BACKUP_UNREADABLE');
      if (whole.startsWith('odd')) throw new TypeError('MARKER-DETAIL');
      return IMPORTED;
    } catch (error) {
      received.push(error as Error);
      throw error;
    } finally {
      imports.emit('ended');
    }
  },
};

let fixture: ApiFixture;
let admin: RpcClient;
beforeAll(async () => {
  fixture = await ApiFixture.start({ backup: BACKUP });
  admin = await fixture.signIn();
});
beforeEach(() => {
  received = [];
  source = () => Readable.from(['{"whole":', 'true}']);
});
afterAll(async () => fixture?.stop());

async function downloadUrl(): Promise<string> {
  const { $getFrom } = await admin.call<DownloadOffer>('xo.exportConfig', { compress: false });
  return `${fixture.url}${$getFrom}`;
}
async function uploadUrl(): Promise<string> {
  const { $sendTo } = await admin.call<UploadOffer>('xo.importConfig', OPEN);
  return `${fixture.url}${$sendTo}`;
}

test('an offer has one key, a path of 43 secret characters', async () => {
  const offer = await admin.call<object>('system.exportConfig', {});
  expect(offer).toEqual({ $getFrom: expect.stringMatching(/^\/api\/[A-Za-z0-9_-]{43}$/) });
  expect(await admin.call('system.importConfig', OPEN)).toEqual({
    $sendTo: expect.stringMatching(/^\/api\/[A-Za-z0-9_-]{43}$/),
  });
});

test('a download is chunked, not stored by anyone, and works once', async () => {
  const url = await downloadUrl();
  const response = await fetch(url);
  expect(await response.text()).toBe('{"whole":true}');
  expect(response.status).toBe(200);
  expect(response.headers.get('content-length')).toBeNull();
  expect(response.headers.get('transfer-encoding')).toBe('chunked');
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(response.headers.get('content-disposition')).toBe(
    'attachment; filename="vault-config.json"',
  );
  const again = await fetch(url);
  expect(again.status).toBe(404);
  expect(again.headers.get('connection')).toBe('close');
});

test('a download that fails half way is seen to be cut', async () => {
  source = () =>
    Readable.from(
      (function* () {
        yield 'x'.repeat(100_000);
        throw new Error('disk on fire');
      })(),
    );
  const response = await fetch(await downloadUrl());
  await expect(response.text()).rejects.toThrow('terminated');
  expect(fixture.logger.lines).toContainEqual({
    level: 'error',
    message: 'download failed',
    data: { reason: 'an unexpected error', cause: new Error('disk on fire') },
  });
});

test('the first request uses the URL up, whatever its method', async () => {
  const url = await downloadUrl();
  const wrong = await fetch(url, { method: 'POST', body: 'x' });
  expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET']);
  expect((await fetch(url)).status).toBe(404);
});

test('an upload comes with a length or chunked, without a content type', async () => {
  for (const headers of [{ 'content-length': '5' }, { 'transfer-encoding': 'chunked' }]) {
    const sent = request(await uploadUrl(), { method: 'POST', headers });
    sent.end('hello');
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(200);
    expect(await text(response)).toBe('config successfully imported: 3 records\n');
  }
  expect(received).toEqual(['hello', 'hello']);
});

test('an upload that is refused says so in the shape of a JSON-RPC error', async () => {
  const response = await fetch(await uploadUrl(), { method: 'POST', body: 'bad' });
  expect(response.status).toBe(400);
  expect(response.headers.get('connection')).toBe('close');
  expect(await response.json()).toEqual({
    error: {
      code: 21,
      message: expect.stringContaining('the backup cannot be read'),
      data: { code: 'BACKUP_UNREADABLE' },
    },
    id: 0,
    jsonrpc: '2.0',
  });
  expect(fixture.logger.lines).toContainEqual({
    level: 'error',
    message: 'upload failed',
    data: { reason: expect.stringContaining('the backup cannot be read') },
  });
});

test('an import without a word on protection is refused at once, and told what to give', async () => {
  const refused = {
    code: 21,
    message: expect.stringMatching(/passphrase=.*allowUnprotected=true/),
  };
  await expect(admin.call('xo.importConfig', {})).rejects.toMatchObject(refused);
  const both = { passphrase: 'correct horse battery', allowUnprotected: true };
  await expect(admin.call('xo.importConfig', both)).rejects.toMatchObject(refused);
  const reason: unknown = refused.message;
  expect(fixture.logger.lines).toContainEqual({
    level: 'info',
    message: AUDIT_MESSAGE,
    data: expect.objectContaining({ action: 'importConfig refused', reason }),
  });
});

test('an export that cannot be whole says so before its first byte, with the names', async () => {
  const refused = new RefusedRecords();
  refused.add({ collection: 'server', id: 's1', reason: 'cannot be read' });
  source = () => {
    throw refusedError('BACKUP_INCOMPLETE', refused);
  };
  const response = await fetch(await downloadUrl());
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    error: {
      message: expect.stringContaining('server s1 (cannot be read)'),
      data: {
        code: 'BACKUP_INCOMPLETE',
        count: 1,
        records: [{ collection: 'server', id: 's1', reason: 'cannot be read' }],
      },
    },
  });
  expect(fixture.logger.text).toContain('server s1 (cannot be read)');
});

test('an unforeseen failure is 500 without details, which are in the log', async () => {
  const response = await fetch(await uploadUrl(), { method: 'POST', body: 'odd' });
  expect(response.status).toBe(500);
  const body = await response.text();
  expect(body).not.toContain('MARKER');
  expect(body).toContain('the log of the server says why');
});

test('an upload that is cut off fails the import', async () => {
  const sent = request(await uploadUrl(), { method: 'POST', headers: { 'content-length': '100' } });
  sent.on('error', () => undefined);
  const began = once(imports, 'began');
  const ended = once(imports, 'ended');
  sent.write('half');
  await began;
  sent.destroy();
  await ended;
  expect(received[0]).toMatchObject({ message: 'the upload was cut off' });
});

test('an offer dies with the right of whoever got it', async () => {
  const second = await fixture.userWith('admin');
  const { $getFrom } = await second.call<DownloadOffer>('system.exportConfig', {});
  await admin.call('user.set', { id: second.userId, permission: 'write' });
  const response = await fetch(`${fixture.url}${$getFrom}`);
  expect(response.status).toBe(403);
  expect(response.headers.get('content-disposition')).toBeNull();
});

test('only administrators get offers for the configuration', async () => {
  const writer = await fixture.userWith('write');
  await expect(writer.call('xo.exportConfig', {})).rejects.toMatchObject({ code: 2 });
  await expect(writer.call('xo.importConfig', OPEN)).rejects.toMatchObject({ code: 2 });
});

test('an unknown path is not a page', async () => {
  const response = await fetch(`${fixture.url}/api/${'A'.repeat(43)}`, { redirect: 'manual' });
  expect(response.status).toBe(404);
});
