/** The writer of files. A power cut cannot be made here: what is tested is the order of the operations, and what each failure leaves. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import * as nodeFileSystem from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  createFile,
  holdFile,
  NewFile,
  PROCESS_PLACE,
  releaseFile,
  removeAbandonedTemporaries,
  replaceFile,
  temporaryPath,
} from '../../src/files/index.js';
import type { DurableFileSystem } from '../../src/files/index.js';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'durable-file-'));
  path = join(folder, 'state');
});
afterEach(() => rmSync(folder, { recursive: true }));

const MODE = { mode: 0o600 };
const names = (): string[] => readdirSync(folder).toSorted();
const failure = (code: string) => Object.assign(new Error(code), { code });

/** The real file system, which notes what is asked of it, and fails where it is told. */
function watched(fails: Partial<Record<string, string>> = {}) {
  const steps: string[] = [];
  const step = (what: string) => {
    steps.push(what);
    const code = fails[what];
    if (code !== undefined) throw failure(code);
  };
  const watchedHandle = (handle: FileHandle, of: string): FileHandle =>
    new Proxy(handle, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return async (...args: unknown[]): Promise<unknown> => {
          if (name === 'sync' || name === 'writeFile') step(`${name} ${of}`);
          return Reflect.apply(value, target, args);
        };
      },
    });
  const fileSystem = {
    ...nodeFileSystem,
    open: async (opened: string, flags?: string, mode?: number) => {
      const of = opened === folder ? 'folder' : opened === path ? 'file' : 'temporary';
      step(`open ${of}`);
      return watchedHandle(await nodeFileSystem.open(opened, flags, mode), of);
    },
    rename: async (from: string, to: string) => {
      step('rename');
      await nodeFileSystem.rename(from, to);
    },
    link: async (from: string, to: string) => {
      step('link');
      await nodeFileSystem.link(from, to);
    },
  } as unknown as DurableFileSystem;
  return { steps, fileSystem };
}

describe('a file that is replaced', () => {
  test('is synced before it is renamed, and its folder after', async () => {
    const { steps, fileSystem } = watched();
    await replaceFile(path, 'new', { ...MODE, fileSystem });
    expect(steps).toEqual([
      'open temporary',
      'writeFile temporary',
      'sync temporary',
      'rename',
      'open folder',
      'sync folder',
    ]);
    expect(readFileSync(path, 'utf8')).toBe('new');
  });

  test.each(['writeFile temporary', 'sync temporary', 'rename'])(
    'keeps its old content, with nothing beside it, where "%s" fails',
    async (what) => {
      writeFileSync(path, 'old');
      const { fileSystem } = watched({ [what]: 'ENOSPC' });
      const replacing = replaceFile(path, 'new', { ...MODE, fileSystem });
      await expect(replacing).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(names()).toEqual(['state']);
      expect(readFileSync(path, 'utf8')).toBe('old');
    },
  );

  test('has the mode that was asked for, whatever the umask and the mode before', async () => {
    writeFileSync(path, 'old', { mode: 0o644 });
    const before = process.umask(0o777);
    try {
      await replaceFile(path, 'new', { mode: 0o640 });
    } finally {
      process.umask(before);
    }
    expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  test('is written beside, under a name that nobody can plant a link at', async () => {
    const victim = join(folder, 'victim');
    writeFileSync(victim, 'untouched');
    symlinkSync(victim, `${path}.tmp`);
    symlinkSync(victim, path);
    await replaceFile(path, 'new', MODE);
    expect(readFileSync(victim, 'utf8')).toBe('untouched');
    expect(readFileSync(path, 'utf8')).toBe('new');
    const made = new Set(Array.from({ length: 100 }, () => temporaryPath(path)));
    expect(made.size).toBe(100);
  });

  test('is not opened through a link or over a file, should its name be guessed', async () => {
    const opened: unknown[] = [];
    const fileSystem = {
      ...nodeFileSystem,
      open: (...args: Parameters<typeof nodeFileSystem.open>) => {
        opened.push(args[1]);
        return nodeFileSystem.open(...args);
      },
    };
    await replaceFile(path, 'new', { ...MODE, fileSystem });
    expect(opened).toEqual(['wx', 'r']);
  });
});

describe('a file that is created', () => {
  test('never takes the place of another one', async () => {
    writeFileSync(path, 'old');
    expect(await createFile(path, 'new', MODE)).toBe(false);
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(names()).toEqual(['state']);
  });

  test('never follows a link that stands at its name', async () => {
    symlinkSync(join(folder, 'elsewhere'), path);
    expect(await createFile(path, 'new', MODE)).toBe(false);
    expect(names()).toEqual(['state']);
  });

  test.each(['EPERM', 'EOPNOTSUPP'])(
    'is made on a file system without hard links too (%s)',
    async (code) => {
      const { fileSystem } = watched({ link: code });
      expect(await createFile(path, 'new', { ...MODE, fileSystem })).toBe(true);
      expect(readFileSync(path, 'utf8')).toBe('new');
      expect(await createFile(path, 'other', { ...MODE, fileSystem })).toBe(false);
      expect(readFileSync(path, 'utf8')).toBe('new');
      expect(names()).toEqual(['state']);
    },
  );

  test('that cannot be renamed there leaves no empty file', async () => {
    const { fileSystem } = watched({ link: 'EPERM', rename: 'EIO' });
    const creating = createFile(path, 'new', { ...MODE, fileSystem });
    await expect(creating).rejects.toMatchObject({ code: 'EIO' });
    expect(names()).toEqual([]);
  });

  test('may be streamed, read before it has its name, and given up', async () => {
    const file = await NewFile.create(path, MODE);
    await pipeline([Buffer.from('one '), Buffer.from('two')], file.stream());
    await file.finish();
    expect(names()).toEqual([basename(file.temporaryPath)]);
    expect(readFileSync(file.temporaryPath, 'utf8')).toBe('one two');
    await file.discard();
    expect(names()).toEqual([]);
  });
});

describe('what a killed process left', () => {
  const random = '0123456789abcdef';
  /** A process that was there, and is no more. */
  async function deadPid(): Promise<number> {
    const child = spawn('true');
    await once(child, 'exit');
    return child.pid as number;
  }
  const plant = (place: string, pid: number, name = 'state') => {
    const planted = join(folder, `${name}.tmp-${place}-${pid}-${random}`);
    writeFileSync(planted, 'secret');
    return planted;
  };

  test('is taken away by the next who writes that file', async () => {
    plant(PROCESS_PLACE, await deadPid());
    await replaceFile(path, 'new', MODE);
    expect(names()).toEqual(['state']);
  });

  test('is taken away where this process has its id, as in a container that starts again', async () => {
    plant(PROCESS_PLACE, process.pid);
    await removeAbandonedTemporaries(folder);
    expect(names()).toEqual([]);
  });

  test('of another machine or container goes once it did not change for an hour', async () => {
    const planted = plant('00000000', process.pid);
    await removeAbandonedTemporaries(folder);
    expect(names()).toEqual([basename(planted)]);
    const before = new Date(Date.now() - 3_601_000);
    utimesSync(planted, before, before);
    await removeAbandonedTemporaries(folder);
    expect(names()).toEqual([]);
  });

  test('is not what a living process writes, this one or another', async () => {
    const held = plant(PROCESS_PLACE, process.pid);
    holdFile(held);
    const parents = plant(PROCESS_PLACE, process.ppid, 'other');
    await removeAbandonedTemporaries(folder);
    expect(names()).toEqual([basename(parents), basename(held)].toSorted());
    releaseFile(held);
  });

  test('is told by its whole name: files of others stay', async () => {
    const others = [
      'notes.tmp',
      `state.tmp-${PROCESS_PLACE}-1`,
      `.tmp-${PROCESS_PLACE}-1-${random}`,
    ];
    for (const name of others) writeFileSync(join(folder, name), 'mine');
    plant(PROCESS_PLACE, await deadPid(), 'other');
    await replaceFile(path, 'new', MODE);
    expect(names()).toContainEqual(expect.stringMatching(/^other\.tmp-/));
    await removeAbandonedTemporaries(folder);
    expect(names()).toEqual(['state', ...others].toSorted());
  });
});
