/** Files that were cut, changed or mixed: one clear error and nothing changed, whatever was done to them. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { checkedDocument } from '../../src/backup/checked-document.js';
import { DatabaseConfigBackup } from '../../src/backup/config-backup.js';
import { BACKUP_ERRORS } from '../../src/backup/errors.js';
import type { ImportParams } from '../../src/backup/port.js';
import { MemoryDatabase, SAMPLE } from './memory-database.js';

const PASSPHRASE = 'correct horse battery';
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const BEFORE = { server: { old: { host: 'h' } } };

const backupOf = (database: MemoryDatabase): DatabaseConfigBackup =>
  new DatabaseConfigBackup({ database, logger: SILENT });

/** @returns `taken`, or the code that the file was refused with; fails when a refused file changed anything */
async function outcome(file: Buffer, params: ImportParams): Promise<string> {
  const target = new MemoryDatabase(BEFORE);
  const { code, message } = await backupOf(target)
    .import(Readable.from([file]), params)
    .then(
      () => ({ code: 'taken', message: '' }),
      (error: unknown) => error as { code: string; message: string },
    );
  expect(['taken', ...Object.keys(BACKUP_ERRORS)]).toContain(code);
  expect(message).not.toMatch(/hunter2|argon2id/);
  expect(code === 'taken' ? BEFORE : target.content).toEqual(BEFORE);
  return code;
}

/** Something that happens to files: a piece lost, a bit turned over, a piece of another file in it. */
function damage(whole: Buffer, other: Buffer) {
  const at = fc.double({ min: 0, max: 1, noNaN: true });
  const place = (share: number) => Math.floor(share * whole.length);
  return fc.oneof(
    at.map((share) => whole.subarray(0, place(share))),
    fc.tuple(at, at).map(([a, b]) => {
      const [from, to] = [place(Math.min(a, b)), place(Math.max(a, b))];
      return Buffer.concat([whole.subarray(0, from), whole.subarray(to)]);
    }),
    fc.tuple(at, fc.integer({ min: 0, max: 7 })).map(([share, bit]) => {
      const turned = Buffer.from(whole);
      const position = Math.min(place(share), whole.length - 1);
      turned[position] = (turned[position] ?? 0) ^ (1 << bit);
      return turned;
    }),
    at.map((share) =>
      Buffer.concat([whole.subarray(0, place(share)), other.subarray(place(share))]),
    ),
    fc.constant(Buffer.concat([whole, other])),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
}

let plain: Buffer;
let otherPlain: Buffer;
let encrypted: Buffer;
let otherEncrypted: Buffer;
beforeAll(async () => {
  const make = async (content: typeof SAMPLE, passphrase?: string): Promise<Buffer> => {
    const params = passphrase === undefined ? {} : { passphrase };
    return buffer(await backupOf(new MemoryDatabase(content)).export(params).open());
  };
  const other = { server: { s9: { host: 'h9', password: 'hunter2other' } } };
  plain = await make(SAMPLE);
  otherPlain = await make(other);
  encrypted = await make(SAMPLE, PASSPHRASE);
  otherEncrypted = await make(other, PASSPHRASE);
});

describe('a damaged file', () => {
  it('that was encrypted is refused, and nothing is changed', async () => {
    await fc.assert(
      fc.asyncProperty(damage(encrypted, otherEncrypted), async (file) => {
        fc.pre(!file.equals(encrypted) && !file.equals(otherEncrypted));
        expect(await outcome(file, { passphrase: PASSPHRASE })).toMatch(
          /^BACKUP_(?:UNREADABLE|REFUSED|NOT_ENCRYPTED)$/,
        );
      }),
      // Each costs a derivation from the passphrase.
      { numRuns: 25 },
    );
  });

  it('that was compressed or open is one clear error, or still a whole document', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          damage(plain, otherPlain),
          damage(gzipSync(plain), gzipSync(otherPlain)),
          damage(plain, encrypted),
        ),
        async (file) => {
          fc.pre(!file.equals(encrypted));
          // Nothing authenticates such a file: a letter that changed in a value is a value.
          await outcome(file, { allowUnprotected: true });
          expect(await outcome(file, { passphrase: PASSPHRASE })).not.toBe('taken');
        },
      ),
      { numRuns: 300 },
    );
  });
});

it('an export that does not read back as it was written never ends', async () => {
  const records = ['a', 'b', 'c'].map((id) => `{"id":"${id}","host":"h"}`);
  const document = `{"format":"vault-config-backup","version":1,"entries":{"server":[${records.join(',')}]}}`;
  const check = { add: async () => undefined };
  await fc.assert(
    fc.asyncProperty(
      damage(Buffer.from(document), Buffer.from(document.replaceAll('h"', 'x"'))),
      fc.integer({ min: 1, max: 60 }),
      async (damaged, size) => {
        const pieces = Array.from({ length: Math.ceil(damaged.length / size) }, (_, i) =>
          damaged.subarray(i * size, (i + 1) * size),
        );
        const given: Uint8Array[] = [];
        let error: unknown;
        try {
          for await (const piece of checkedDocument(Readable.from(pieces), check, () => 3)) {
            given.push(piece);
          }
        } catch (thrown) {
          error = thrown;
        }
        // Whole and sound, or an error and not whole.
        const isWhole = Buffer.concat(given).equals(damaged) && damaged.length > 0;
        expect(isWhole).toBe(error === undefined);
        expect(isWhole ? typeof JSON.parse(damaged.toString()) : 'object').toBe('object');
      },
    ),
    { numRuns: 300 },
  );
});
