/** get, getMany, find, add: against bare `ioredis` and `node:crypto`, and with encryption on against off. */
import { createCipheriv, createDecipheriv, createHmac, randomBytes, randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { openDatabase, recordOf } from './support/database.mjs';
import { compare, inFlight } from './support/measure.mjs';
import { startRedis } from './support/redis.mjs';

const WIDTH = 64;
const BATCH = 500;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What anybody would write: a key for records, one for indexes, no associated data, no checks. */
function makeBare(client) {
  const recordKey = randomBytes(32);
  const indexKey = randomBytes(32);
  const seal = (record) => {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', recordKey, nonce);
    const ciphertext = cipher.update(JSON.stringify(record));
    cipher.final();
    return Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]);
  };
  const open = (stored) => {
    const decipher = createDecipheriv('aes-256-gcm', recordKey, stored.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(stored.subarray(-TAG_BYTES));
    const text = decipher.update(stored.subarray(NONCE_BYTES, -TAG_BYTES));
    decipher.final();
    return JSON.parse(text.toString());
  };
  const token = (value) => createHmac('sha256', indexKey).update(value).digest('base64url');
  return {
    get: async (id) => open(await client.getBuffer(`bare:r:${id}`)),
    getMany: async (ids) => (await client.mgetBuffer(ids.map((id) => `bare:r:${id}`))).map(open),
    find: async (host) => {
      const ids = await client.smembers(`bare:host:${token(host)}`);
      return Promise.all(ids.map(async (id) => open(await client.getBuffer(`bare:r:${id}`))));
    },
    add: async (record) => {
      const id = randomUUID();
      await client
        .multi()
        .set(`bare:r:${id}`, seal(record))
        .sadd(`bare:host:${token(record.host)}`, id)
        .sadd(`bare:username:${token(record.username)}`, id)
        .zadd('bare:ids', 0, id)
        .exec();
      return id;
    },
  };
}

async function filled(store, count) {
  const ids = [];
  await inFlight(count, 1000, async (n) => {
    ids[n] = await store.add(recordOf(n));
  });
  return ids;
}

async function measureOver(redis, address, over, { records, calls, rounds }) {
  const on = await openDatabase(address, { encrypt: true, prefix: `on-${over}` });
  const off = await openDatabase(address, { encrypt: false, prefix: `off-${over}` });
  const bare = makeBare(redis.client());
  const idsOn = await filled(on.collection, records);
  const idsOff = await filled(off.collection, records);
  const idsBare = await filled(bare, records);
  let added = records;
  const operations = {
    get: (store, ids) => inFlight(calls, WIDTH, (n) => store.get(ids[n % records])),
    getMany: async (store, ids) => {
      const batches = Math.ceil(calls / BATCH);
      const slice = (n) => ids.slice((n * BATCH) % records, ((n * BATCH) % records) + BATCH);
      return (await inFlight(batches, 1, (n) => store.getMany(slice(n)))) / BATCH;
    },
    find: (store) =>
      inFlight(calls, WIDTH, (n) => {
        const { host } = recordOf(n % records);
        return store.find(store === bare ? host : { host });
      }),
    add: (store) => inFlight(calls, WIDTH, () => store.add(recordOf(added++))),
  };
  const baselines = {
    get: ['bare GET + decrypt + parse', 0.9],
    getMany: ['bare MGET + decrypt + parse', 0.85],
    find: ['bare SMEMBERS, then GET + decrypt + parse', 1.2],
    add: ['bare encrypt + 2 HMAC + MULTI of 4', 1],
  };
  const rows = [];
  for (const [name, operation] of Object.entries(operations)) {
    const width = name === 'getMany' ? `batches of ${BATCH}` : `${WIDTH} in flight`;
    const [baselineName, goal] = baselines[name];
    const ours = () => operation(on.collection, idsOn);
    rows.push(
      await compare({
        what: `${name}, ${width}, ${over}`,
        baselineName,
        goal,
        rounds,
        ours,
        baseline: () => operation(bare, idsBare),
      }),
      await compare({
        what: `${name}, ${width}, ${over}, encryption on`,
        baselineName: 'encryption off',
        goal: 0.6,
        rounds,
        ours,
        baseline: () => operation(off.collection, idsOff),
      }),
    );
  }
  await on.close();
  await off.close();
  return rows;
}

export async function run({ quick = false } = {}) {
  const size = quick
    ? { records: 1000, calls: 1000, rounds: 1 }
    : { records: 20_000, calls: 10_000, rounds: 9 };
  const redis = await startRedis();
  try {
    return [
      ...(await measureOver(redis, redis, 'unix', size)),
      ...(await measureOver(redis, redis.url, 'tcp', size)),
    ];
  } finally {
    await redis.stop();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { printRows } = await import('./support/table.mjs');
  printRows(await run({ quick: process.argv.includes('--quick') }));
}
