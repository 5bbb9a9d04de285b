/** A rotation while clients work: how fast it goes, and how long clients wait, compared with a rotation alone and with clients alone. */
import { pathToFileURL } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { openDatabase, recordOf } from './support/database.mjs';
import { inFlight, quantile } from './support/measure.mjs';
import { startRedis } from './support/redis.mjs';

/** Calls a second of all clients together. */
const CALLS_PER_SECOND = 500;
/** Calls are sent in so many bursts a second, as timers allow. */
const BURSTS_PER_SECOND = 100;
/** Of ten calls: seven read one record, one looks one up, one changes one, one adds and removes one. */
const MIX = ['get', 'get', 'get', 'get', 'get', 'get', 'get', 'find', 'set', 'add'];

/** Clients that call at a steady pace, however long their answers take. */
class SteadyClients {
  #collection;
  #ids;
  #calls = 0;
  #stopping = new AbortController();
  #ended;
  /** ms from the time at which a read was due to its answer. */
  #waits = [];

  constructor(collection, ids) {
    this.#collection = collection;
    this.#ids = ids;
    this.#ended = this.#run();
  }

  /** @returns the waits of reads so far, in ms, sorted; and forgets them */
  take() {
    return this.#waits.splice(0).toSorted((a, b) => a - b);
  }

  async stop() {
    this.#stopping.abort();
    await this.#ended;
  }

  async #run() {
    const under = new Set();
    const perBurst = CALLS_PER_SECOND / BURSTS_PER_SECOND;
    const startedMs = performance.now();
    for (let burst = 0; !this.#stopping.signal.aborted; burst++) {
      const dueMs = startedMs + (burst * 1000) / BURSTS_PER_SECOND;
      await delay(Math.max(0, Math.ceil(dueMs - performance.now())));
      for (let n = 0; n < perBurst; n++) {
        const call = this.#call(dueMs).finally(() => under.delete(call));
        under.add(call);
      }
    }
    await Promise.all(under);
  }

  async #call(dueMs) {
    const n = this.#calls++;
    const at = (n * 7919) % this.#ids.length;
    const id = this.#ids[at];
    switch (MIX[n % MIX.length]) {
      case 'find':
        await this.#collection.find({ host: recordOf(at).host });
        break;
      case 'set':
        await this.#collection.set(id, { label: `changed ${n}` });
        break;
      case 'add':
        await this.#collection.remove(await this.#collection.add(recordOf(-n)));
        break;
      default:
        await this.#collection.get(id);
        this.#waits.push(performance.now() - dueMs);
    }
  }
}

async function rotationSeconds(database) {
  const started = performance.now();
  await database.rotateKey();
  return (performance.now() - started) / 1000;
}

/** @param ceiling of the ratio, where there is a goal */
function waitRow(q, busy, idle, ceiling) {
  return {
    what: `wait of a get, quantile ${q}, while a rotation runs`,
    baselineName: 'the same, no rotation',
    unit: 'ms',
    ours: quantile(busy, q),
    baseline: quantile(idle, q),
    ratio: quantile(busy, q) / quantile(idle, q),
    goal: ceiling,
    isCeiling: true,
  };
}

export async function run({ quick = false, records = 1_000_000 } = {}) {
  const size = quick ? 2000 : Math.min(records, 100_000);
  const redis = await startRedis({ appendonly: true });
  const { database, collection, close } = await openDatabase(redis, { encrypt: true });
  try {
    const ids = Array.from({ length: size }, (_, n) => `record-${n}`);
    await inFlight(size, 2000, (n) => collection.add(recordOf(n), { id: ids[n] }));
    const alone = await rotationSeconds(database);
    const clients = new SteadyClients(collection, ids);
    await delay(quick ? 200 : 5000);
    const idle = clients.take();
    const beside = await rotationSeconds(database);
    const busy = clients.take();
    await clients.stop();
    const name = size.toLocaleString('en').replaceAll(',', ' ');
    return [
      {
        what: `rotate, ${name} records, ${CALLS_PER_SECOND} calls a second beside it, one in five a write`,
        baselineName: 'the same, nobody else',
        unit: 'records/s',
        ours: size / beside,
        baseline: size / alone,
        ratio: alone / beside,
      },
      waitRow(0.5, busy, idle, undefined),
      waitRow(0.99, busy, idle, 3),
    ];
  } finally {
    await close();
    await redis.stop();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { printRows } = await import('./support/table.mjs');
  printRows(await run({ quick: process.argv.includes('--quick') }));
}
