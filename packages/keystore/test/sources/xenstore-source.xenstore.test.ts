import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { KeyHalf } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import { Program, runOrThrow } from '../../../../test/harness/program.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { Xenstored } from '../../../../test/harness/xenstored.js';
import { createHalfSource } from '../../src/create-half-source.js';
import type { HalfSource } from '../../src/half-source.js';
import { XENSTORE_VALUE_MAX_BYTES } from '../../src/sources/xenstore-source.js';
import { MESSAGE_TYPES } from '../../src/xenstore/wire.js';
import { XenstoreConnection } from '../../src/xenstore/xenstore-connection.js';
import { describeHalfSource, FIRST_ID, readable, SECOND_ID } from '../half-source-conformance.js';
import { asOrdinaryUser, makePlace } from '../source-environment.js';
import { answering, FakeXenstored } from '../xenstore/fake-xenstored.js';
import type { FakeAnswer } from '../xenstore/fake-xenstored.js';

const NODE = 'vm-data/vault-encryption-key';
/** Long enough for a loaded machine, short enough for a test that waits for it. */
const TIME_LIMIT_MS = 1_000;
const HALF = KeyHalf.fromHex('ab'.repeat(32));

function xenstoreSource(socketPath: string, variables: Record<string, string> = {}): HalfSource {
  const { environment, folder } = makePlace(variables);
  void folder.stop();
  const config = { source: 'xenstore', socketPath, timeLimitMs: TIME_LIMIT_MS };
  return createHalfSource(config, environment);
}

/** Folders whose `xenstore-read`, `-list` and `-ls` do what the scripts say. */
function makeTools(scripts: Readonly<Record<string, string>>): TemporaryFolder {
  const folder = new TemporaryFolder('vault-tools');
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(folder.join(name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  return folder;
}

describeHalfSource(
  'xenstore',
  async () => {
    const xenstored = await Xenstored.start();
    const read = async (path: string): Promise<string | undefined> => {
      const result = await xenstored.cli('read', ['-R', path]);
      return result.status === 0 ? result.stdout : undefined;
    };
    const write = async (value: string): Promise<void> => {
      await xenstored.cli('write', ['-R', '--', NODE, value]);
    };
    return {
      source: xenstoreSource(xenstored.socketPath),
      plantHalf: async (half) => {
        await write(half.unsafeHex());
        return half;
      },
      plantGarbage: write,
      stored: () => read(NODE),
      cutOff: () => xenstored.kill(),
      copies: async () => {
        const { stdout } = await xenstored.cli('list', ['vm-data']);
        const names = stdout.split('\n').filter((name) => name.includes('-corrupt-'));
        const copies = await Promise.all(names.map((name) => read(`vm-data/${name}`)));
        return copies.filter((copy) => copy !== undefined);
      },
      stop: () => xenstored.stop(),
    };
  },
  { isWritable: true },
);

describe('the xenstore source and the real daemon', () => {
  let xenstored: Xenstored;
  let source: HalfSource;
  beforeEach(async () => {
    xenstored = await Xenstored.start();
    source = xenstoreSource(xenstored.socketPath);
  });
  afterEach(() => xenstored.stop());

  test('works together with xenstore-read, -write and -rm', async () => {
    await source.append({ keyId: FIRST_ID, half: HALF });
    await source.append({ keyId: SECOND_ID, half: HALF });
    const lines = [`${FIRST_ID}:${'ab'.repeat(32)}`, `${SECOND_ID}:${'ab'.repeat(32)}`];
    expect((await xenstored.cli('read', [NODE])).stdout).toBe(`${lines.join('\\n')}\n`);
    await xenstored.cli('write', [NODE, lines.toReversed().join('\\n')]);
    expect(readable(await source.read())).toEqual(lines.toReversed());
    await xenstored.cli('rm', [NODE]);
    expect(await source.read()).toEqual({ status: 'missing' });
    await xenstored.cli('write', [NODE, 'cd'.repeat(32)]);
    expect(readable(await source.read())).toEqual([`bare:${'cd'.repeat(32)}`]);
  });

  test('a node that is only a folder is corrupt, not missing', async () => {
    await xenstored.cli('write', [`${NODE}/child`, 'x']);
    expect(await source.read()).toMatchObject({
      status: 'corrupt',
      reason: 'the value is empty',
    });
  });

  test('a full node is refused before anything is written', async () => {
    const lineBytes = 82;
    const fits = Math.floor((XENSTORE_VALUE_MAX_BYTES + 1) / lineBytes);
    for (let n = 1; n <= fits; n++) {
      expect(await source.writeRefusal()).toBeUndefined();
      const keyId = n.toString(16).padStart(16, '0') as KeyId;
      await source.append({ keyId, half: HALF });
    }
    expect(fits).toBe(23);
    expect(await source.writeRefusal()).toContain('delete inactive keys first');
    const before = readable(await source.read());
    const append = source.append({ keyId: FIRST_ID, half: HALF });
    await expect(append).rejects.toMatchObject({ code: 'HALF_FULL' });
    expect(readable(await source.read())).toEqual(before);
  });

  test('a value that somebody else changes meanwhile is read again: no line is lost', async () => {
    const ids = Array.from({ length: 6 }, (_, n) => `${n}`.repeat(16) as KeyId);
    await Promise.all(
      ids.map((keyId) => xenstoreSource(xenstored.socketPath).append({ keyId, half: HALF })),
    );
    const lines = readable(await source.read());
    expect(lines.toSorted()).toEqual(ids.map((id) => `${id}:${'ab'.repeat(32)}`));
  });

  test('a daemon whose queue of connections is full is waited for', async () => {
    await xenstored.cli('write', [NODE, 'cd'.repeat(32)]);
    xenstored.pause();
    const sockets: Socket[] = [];
    const isFull = async (): Promise<boolean> => {
      const socket = connect({ path: xenstored.socketPath });
      sockets.push(socket);
      return once(socket, 'connect').then(
        () => false,
        () => true,
      );
    };
    while (!(await isFull()));
    const value = source.read();
    // Each takes as many turns as the source's own attempt, which began first.
    for (let n = 0; n < 20; n++) expect(await isFull()).toBe(true);
    xenstored.resume();
    expect(readable(await value)).toEqual([`bare:${'cd'.repeat(32)}`]);
    for (const socket of sockets) socket.destroy();
  });

  test('a daemon that hangs is unreadable after the time limit, and never falls back', async () => {
    await xenstored.cli('write', [NODE, 'ab'.repeat(32)]);
    xenstored.pause();
    expect(await source.read()).toMatchObject({
      status: 'unreadable',
      reason: 'the XenStore daemon did not answer in time (1000 ms)',
    });
    const append = source.append({ keyId: FIRST_ID, half: HALF });
    await expect(append).rejects.toMatchObject({ code: 'HALF_UNREADABLE' });
    xenstored.resume();
    expect(readable(await source.read())).toEqual([`bare:${'ab'.repeat(32)}`]);
  });

  test('a daemon that is down is unreadable, and refuses to be written', async () => {
    await xenstored.kill();
    expect(await source.read()).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining('the XenStore daemon is down'),
    });
    expect(await source.writeRefusal()).toContain('ECONNREFUSED');
  });

  test('a socket that this user may not open is unreadable', async () => {
    await xenstored.cli('write', [NODE, 'ab'.repeat(32)]);
    chmodSync(xenstored.folder.path, 0o755);
    chmodSync(xenstored.socketPath, 0o000);
    const reading = await asOrdinaryUser(() => source.read());
    chmodSync(xenstored.socketPath, 0o600);
    expect(reading).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining('no permission to open XenStore'),
    });
  });

  test('where nothing can be opened, the command is asked, and the source is read-only', async () => {
    await source.append({ keyId: FIRST_ID, half: HALF });
    await source.append({ keyId: SECOND_ID, half: HALF });
    // The socket that is configured is not there, but the commands of this place find their own.
    const found = makeTools({
      'xenstore-read': `XENSTORED_PATH=${xenstored.socketPath} exec /usr/bin/xenstore-read "$@"`,
      'xenstore-list': `XENSTORED_PATH=${xenstored.socketPath} exec /usr/bin/xenstore-list "$@"`,
      'xenstore-ls': `XENSTORED_PATH=${xenstored.socketPath} exec /usr/bin/xenstore-ls "$@"`,
    });
    const byCommand = xenstoreSource(found.join('no-socket'), { PATH: `${found.path}:/bin` });
    expect(readable(await byCommand.read())).toEqual([
      `${FIRST_ID}:${'ab'.repeat(32)}`,
      `${SECOND_ID}:${'ab'.repeat(32)}`,
    ]);
    expect(await byCommand.writeRefusal()).toContain('no XenStore device or socket');
    await xenstored.cli('write', ['vm-data/other', 'x']);
    await xenstored.cli('rm', [NODE]);
    expect(await byCommand.read()).toEqual({ status: 'missing' });
    await xenstored.cli('rm', ['vm-data']);
    expect(await byCommand.read()).toEqual({ status: 'missing' });
    await xenstored.kill();
    expect(await byCommand.read()).toMatchObject({ status: 'unreadable' });
    await found.stop();
  });
});

describe('the fallback command', () => {
  const cases: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
    ['is not installed', {}, 'xenstore-read cannot be run: ENOENT'],
    ['never ends', { 'xenstore-read': 'exec sleep 1000' }, 'did not end within 1000 ms'],
    ['fails, and the others are not installed', { 'xenstore-read': 'exit 1' }, 'not proven'],
    [
      'fails, though its node is listed',
      { 'xenstore-read': 'exit 1', 'xenstore-list': 'echo vault-encryption-key' },
      'not proven',
    ],
    [
      'fails, and the folder is denied',
      {
        'xenstore-read': 'exit 1',
        'xenstore-list': 'exit 1',
        'xenstore-ls': 'echo "xenstore-ls: xs_directory (vm-data): Permission denied" >&2; exit 1',
      },
      'not proven',
    ],
  ];
  test.each(cases)('that %s leaves the half unreadable', async (_what, scripts, reason) => {
    const tools = makeTools(scripts);
    // `sleep` is found by its own path only: PATH holds nothing but these tools.
    const source = xenstoreSource(tools.join('no-socket'), { PATH: `${tools.path}:/no-tools` });
    if (scripts['xenstore-read']?.includes('sleep') === true) {
      writeFileSync(tools.join('xenstore-read'), '#!/bin/sh\nexec /bin/sleep 1000\n');
    }
    expect(await source.read()).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining(reason),
    });
    await tools.stop();
  });
});

describe('the device of a guest', () => {
  let build: TemporaryFolder;
  let xenstored: Xenstored;
  let bridge: Program;
  beforeAll(async () => {
    build = new TemporaryFolder('vault-pty');
    const code = join(import.meta.dirname, '..', 'xenstore', 'pty-bridge.c');
    await runOrThrow('gcc', ['-O1', '-Wall', '-o', build.join('pty-bridge'), code]);
  });
  afterAll(() => build.stop());
  beforeEach(async () => {
    xenstored = await Xenstored.start();
    bridge = Program.start(build.join('pty-bridge'), [xenstored.socketPath]);
  });
  afterEach(async () => {
    await bridge.kill();
    await xenstored.stop();
  });

  test('is read and written without blocking', async () => {
    const [, device] = await bridge.waitForOutput(/^(\/dev\/pts\/\d+)$/m);
    const source = xenstoreSource(device ?? '');
    expect(await source.read()).toEqual({ status: 'missing' });
    await source.append({ keyId: FIRST_ID, half: HALF });
    expect(readable(await source.read())).toEqual([`${FIRST_ID}:${'ab'.repeat(32)}`]);
    expect((await xenstored.cli('read', [NODE])).stdout).toContain('abab');
    xenstored.pause();
    expect(await source.read()).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining('did not answer in time'),
    });
  });
});

describe('answers that the real daemon does not give to dom0', () => {
  let fake: FakeXenstored | undefined;
  afterEach(() => fake?.stop());

  async function sourceAnswering(
    type: number,
    answer: FakeAnswer,
    value = '',
  ): Promise<HalfSource> {
    fake = await FakeXenstored.start(answering(type, answer, value));
    return xenstoreSource(fake.socketPath);
  }

  test.each(['EACCES', 'EIO', 'EBUSY', 'EINVAL'])('%s when reading: unreadable', async (errno) => {
    const source = await sourceAnswering(MESSAGE_TYPES.read, { errno });
    expect(await source.read()).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining(errno),
    });
  });

  test.each([
    ['EACCES', 'HALF_NOT_WRITABLE'],
    ['EROFS', 'HALF_NOT_WRITABLE'],
    ['ENOSPC', 'HALF_FULL'],
    ['EDQUOT', 'HALF_FULL'],
    ['E2BIG', 'HALF_FULL'],
    ['EIO', 'HALF_WRITE_FAILED'],
  ])('%s when writing: %s, and the transaction is aborted', async (errno, code) => {
    const source = await sourceAnswering(MESSAGE_TYPES.write, { errno });
    const append = source.append({ keyId: FIRST_ID, half: HALF });
    await expect(append).rejects.toMatchObject({ code, message: expect.stringContaining(errno) });
    expect(fake?.requests.at(-1)).toBe(MESSAGE_TYPES.transactionEnd);
  });

  test('EAGAIN at every commit: a conflict, after a few attempts', async () => {
    const source = await sourceAnswering(MESSAGE_TYPES.transactionEnd, { errno: 'EAGAIN' });
    const append = source.append({ keyId: FIRST_ID, half: HALF });
    await expect(append).rejects.toMatchObject({ code: 'HALF_CONFLICT' });
    const starts = fake?.requests.filter((type) => type === MESSAGE_TYPES.transactionStart);
    expect(starts).toHaveLength(8);
  });

  test('the connection ends at any request: an error, never a hang, never half a change', async () => {
    const requestsOfAppend = 4;
    for (let last = 1; last <= requestsOfAppend; last++) {
      let count = 0;
      const usual = answering(0, 'hang-up');
      const cut = await FakeXenstored.start((request) =>
        ++count === last ? 'hang-up' : usual(request),
      );
      const append = xenstoreSource(cut.socketPath).append({ keyId: FIRST_ID, half: HALF });
      await expect(append).rejects.toMatchObject({
        code: 'HALF_UNREADABLE',
        message: expect.stringContaining('daemon is down'),
      });
      expect(cut.requests).toHaveLength(last);
      await cut.stop();
    }
  });

  const header = (type: number, requestId: number, length: number): Buffer =>
    Buffer.from(new Uint32Array([type, requestId, 0, length]).buffer);
  test.each<[string, FakeAnswer]>([
    ['another request’s answer', { raw: header(MESSAGE_TYPES.read, 99, 0) }],
    ['another type', { raw: header(MESSAGE_TYPES.write, 1, 0) }],
    ['a length over the limit', { raw: header(MESSAGE_TYPES.read, 1, 4097) }],
    ['an error that is no errno', { errno: 'marker secret' }],
    ['the end of the connection', 'hang-up'],
    ['half a message and then nothing', { raw: header(MESSAGE_TYPES.read, 1, 10) }],
  ])('%s: unreadable, and not quoted', async (_what, answer) => {
    const source = await sourceAnswering(MESSAGE_TYPES.read, answer);
    const reading = await source.read();
    expect(reading).toMatchObject({ status: 'unreadable' });
    expect(JSON.stringify(reading)).not.toContain('marker');
  });

  test('a transaction without an id is not gone on with', async () => {
    const source = await sourceAnswering(MESSAGE_TYPES.transactionStart, { ok: 'no id\0' });
    const append = source.append({ keyId: FIRST_ID, half: HALF });
    await expect(append).rejects.toMatchObject({ code: 'HALF_UNREADABLE' });
  });

  test('a path that is a plain file or a folder is not written to', async () => {
    const folder = new TemporaryFolder('vault-no-socket');
    writeFileSync(folder.join('plain'), '');
    mkdirSync(folder.join('folder'));
    for (const name of ['plain', 'folder']) {
      expect(await xenstoreSource(folder.join(name)).read()).toMatchObject({
        status: 'unreadable',
        reason: expect.stringContaining('neither a socket nor a device'),
      });
    }
    expect(readFileSync(folder.join('plain'), 'utf8')).toBe('');
    await folder.stop();
  });

  test('a value too large for a message is refused before it is sent', async () => {
    fake = await FakeXenstored.start(answering(0, { ok: '' }));
    const connection = await XenstoreConnection.open({
      paths: [fake.socketPath],
      timeLimitMs: TIME_LIMIT_MS,
    });
    const write = connection.write('x', Buffer.alloc(4095), 0);
    await expect(write).rejects.toMatchObject({ errno: 'E2BIG' });
    expect(fake.requests).toEqual([]);
    await connection.close();
  });
});
