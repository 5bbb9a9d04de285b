// A process that uses the built @vault/redis-store and @vault/keystore as vault-server does, and that a test may kill.
// It says that it is warm, takes one order on its standard input, says what it did a line at a time, and ends.
// Plain JavaScript: Node runs it as it stands.
import { createInterface } from 'node:readline';
import { createHalfSource, SplitKeystore } from '@vault/keystore';
import { CredentialDatabase, DegradedError } from '@vault/redis-store';

/** @typedef {import('./store-process.js').Order} Order */
/** @typedef {import('./store-process.js').Step} Step */

/** @param {import('./store-process.js').Report} report */
const say = (report) => process.stdout.write(`${JSON.stringify(report)}\n`);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** @param {Order} order */
async function obey(order) {
  /** @type {CredentialDatabase} */
  let database;
  try {
    database = await CredentialDatabase.open(openOptions(order));
  } catch (error) {
    if (!(error instanceof DegradedError)) throw error;
    say({ event: 'degraded', reason: error.reason, cause: String(error.details.cause) });
    return;
  }
  say({ event: 'opened', state: database.state });
  if (order.steps.length > 0) await lines.next();
  for (const step of order.steps) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- what is acknowledged must be known step by step
      say({ event: 'acknowledged', result: await DO[step.do](database, step) });
    } catch (error) {
      const { code = 'UNKNOWN', message } = /** @type {Error & { code?: string }} */ (error);
      say({ event: 'failed', code, message });
      break;
    }
  }
  await database.close();
  say({ event: 'closed' });
}

/** @param {Order} order @returns {import('@vault/redis-store').OpenOptions} */
function openOptions(order) {
  const environment = {
    variables: { PATH: process.env['PATH'] ?? '' },
    dataDir: order.dataDir,
    userId: process.geteuid?.(),
    groupId: process.getegid?.(),
  };
  const [halfA, halfB] = order.halves.map((half) => createHalfSource(half, environment, 'half'));
  if (halfA === undefined || halfB === undefined) throw new TypeError('two halves are needed');
  return {
    redis: order.redis,
    collections: order.collections,
    custody: new SplitKeystore({ halfA, halfB }),
    dataDir: order.dataDir,
    encrypt: order.encrypt,
    ownRedis: order.ownRedis,
  };
}

/** @type {{ [Name in Step['do']]: (database: CredentialDatabase, step: Step) => Promise<unknown> }} */
const DO = {
  add: (database, { collection, id, fields }) =>
    database.collection(collection).add(fields, { id }),
  set: async (database, { collection, id, fields }) =>
    (await database.collection(collection).set(id, fields)).id,
  remove: (database, { collection, id }) => database.collection(collection).remove(id),
  claim: async (database, { collection, ids, fields }) => {
    const adding = ids.map((id) => database.collection(collection).add(fields, { id }));
    const results = await Promise.allSettled(adding);
    const failed = results.filter((result) => result.status === 'rejected');
    const other = failed.find(
      ({ reason }) => /** @type {{ code?: string }} */ (reason).code !== 'UNIQUE_CONFLICT',
    );
    if (other !== undefined) throw other.reason;
    return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  },
  import: async (database, { collection, ids, fields }) => {
    const spool = await database.openImport();
    // oxlint-disable-next-line no-await-in-loop -- one file
    for (const id of ids) await spool.add(collection, id, { ...fields, host: `${id}.example` });
    const { records } = await database.import(spool);
    return records;
  },
  rotate: (database) => database.rotateKey(),
  deleteInactive: (database) => database.deleteInactiveKeys(),
  read: async (database, { collection, id }) => {
    const stored = await database.collection(collection).get(id);
    return stored?.record ?? null;
  },
  find: async (database, { collection, fields }) => {
    const found = await database.collection(collection).find(fields);
    return found.map((stored) => stored.id);
  },
};

say({ event: 'warm' });
const first = await lines.next();
if (first.done !== true) await obey(/** @type {Order} */ (JSON.parse(first.value)));
process.exit(0);
