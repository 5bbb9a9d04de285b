/**
 * The credentials of a Xen Orchestra as it lays them out, encrypted, in a Redis, a XenStore and a file: what stands in
 * the place of a system that is not ours. Its format is that of its documentation, byte by byte.
 */
import { createCipheriv, createHmac, hkdfSync, randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Xenstored } from './xenstored.js';

export interface XenOrchestraPlaces {
  /** Of the database number that it has. */
  readonly redis: Redis;
  readonly xenstored: Xenstored;
  /** Of half B: 32 raw bytes. */
  readonly halfBPath: string;
}

export const XEN_ORCHESTRA_NODE = 'vm-data/xo-encryption-key';

/** Records by namespace, and the fields that it files them under. */
const NAMESPACES = {
  server: {
    indexes: ['host'],
    records: [
      { host: 'pool1.example.org', username: 'root', password: 'XO-SECRET-1', enabled: 'true' },
      { host: 'pool2.example.org', username: 'root', password: 'XO-SECRET-2', enabled: 'true' },
    ],
  },
  user: {
    indexes: ['email'],
    records: [
      { email: 'admin@example.org', permission: 'admin', pw_hash: '$argon2id$XO-SECRET-3' },
    ],
  },
  remote: {
    indexes: ['enabled'],
    records: [{ name: 'nas', url: 'smb://u:XO-SECRET-4@nas/share', enabled: 'true' }],
  },
} as const;

export class XenOrchestra {
  readonly #places: XenOrchestraPlaces;

  private constructor(places: XenOrchestraPlaces) {
    this.#places = places;
  }

  static async layOut(places: XenOrchestraPlaces): Promise<XenOrchestra> {
    const [halfA, halfB] = [randomBytes(32), randomBytes(32)];
    await places.xenstored.cli('write', [XEN_ORCHESTRA_NODE, halfA.toString('hex')]);
    mkdirSync(dirname(places.halfBPath), { recursive: true });
    writeFileSync(places.halfBPath, halfB);
    chmodSync(places.halfBPath, 0o400);
    const secret = Buffer.concat([halfA, halfB]);
    const derive = (info: string, bytes: number): Buffer =>
      Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), info, bytes));
    const aesKey = derive('xo-credentials-aes', 32);
    const hmacKey = derive('xo-credentials-hmac', 64);
    for (const [namespace, { indexes, records }] of Object.entries(NAMESPACES)) {
      const lay = places.redis.multi();
      lay.sadd('xo::namespaces', namespace);
      lay.sadd(`xo:${namespace}::indexes`, ...indexes);
      lay.set(`xo:${namespace}:version`, '20170905');
      for (const record of records as readonly Readonly<Record<string, string>>[]) {
        const id = randomUUID();
        lay.set(`xo:${namespace}:${id}`, encrypted(aesKey, record));
        lay.sadd(`xo:${namespace}_ids`, id);
        for (const index of indexes) {
          const value = (record[index] ?? '').toLowerCase();
          const token = createHmac('sha256', hmacKey).update(value).digest('hex');
          lay.sadd(`xo:${namespace}_${index}:${token}`, id);
        }
      }
      // oxlint-disable-next-line no-await-in-loop -- a handful
      await lay.exec();
    }
    return new XenOrchestra(places);
  }

  /** Every byte that it has: equal before and after means that nobody touched it. */
  async everything(): Promise<unknown> {
    const { redis, xenstored, halfBPath } = this.#places;
    const names = (await redis.keys('*')).toSorted();
    const dumps = await Promise.all(
      names.map(async (name) => [
        name,
        (await redis.dumpBuffer(name))?.toString('hex'),
        await redis.pttl(name),
      ]),
    );
    const folder = dirname(halfBPath);
    const files = readdirSync(folder)
      .toSorted()
      .map((name) => {
        const { mode, mtimeMs, ino } = statSync(join(folder, name));
        return [name, mode, mtimeMs, ino, readFileSync(join(folder, name), 'hex')];
      });
    const { stdout } = await xenstored.cli('ls', ['-p', 'vm-data']);
    return { dumps, files, xenstore: stdout };
  }
}

/** `enc:` + base64(IV 12 ‖ ciphertext ‖ tag 16) */
function encrypted(key: Buffer, record: object): string {
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  const parts = [iv, cipher.update(JSON.stringify(record)), cipher.final(), cipher.getAuthTag()];
  return `enc:${Buffer.concat(parts).toString('base64')}`;
}
