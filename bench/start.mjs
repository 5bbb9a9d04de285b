/** From the start of the process to ready, with many records and nothing to migrate. */
import { pathToFileURL } from 'node:url';
import { once } from 'node:events';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { median } from './support/measure.mjs';
import { startRedis } from './support/redis.mjs';
import { ADMINISTRATOR, makeServerFolder, startServer } from './support/vault-server.mjs';

const BATCH = 20;
const UNDER_WAY = 50;

/** Adds records as a client does, in batches. */
async function fill(url, records) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/api/`);
  await once(socket, 'open');
  const waiting = new Map();
  socket.on('message', (data) => {
    const answers = [JSON.parse(data)].flat();
    waiting.get(answers[0].id)?.(answers);
  });
  let id = 0;
  const ask = (calls) => {
    const requests = calls.map(({ method, params }) => ({
      jsonrpc: '2.0',
      id: id++,
      method,
      params,
    }));
    const answered = new Promise((resolve) => waiting.set(requests[0].id, resolve));
    socket.send(JSON.stringify(requests.length === 1 ? requests[0] : requests));
    return answered;
  };
  await ask([{ method: 'session.signIn', params: ADMINISTRATOR }]);
  let next = 0;
  const worker = async () => {
    while (next < records) {
      const from = next;
      next += BATCH;
      const calls = Array.from({ length: Math.min(BATCH, records - from) }, (_, i) => ({
        method: 'secret.add',
        params: { name: `secret-${from + i}`, value: 'correct horse battery staple' },
      }));
      const answers = await ask(calls);
      const failed = answers.find(({ error }) => error !== undefined);
      if (failed !== undefined) throw new Error(failed.error.message);
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, worker));
  socket.terminate();
}

/** Median of the seconds from the start of the process to ready. */
async function startsOf(place, rounds, environment) {
  const seconds = [];
  for (let round = 0; round < rounds; round++) {
    const server = await startServer(place.config, environment);
    seconds.push(server.readySeconds);
    await server.stop();
  }
  return median(seconds);
}

export async function run({ quick = false, records: size = 1_000_000 } = {}) {
  const records = quick ? 200 : size;
  const rounds = quick ? 1 : 5;
  const name = records.toLocaleString('en').replaceAll(',', ' ');
  const row = { unit: 's', goal: 1.5, isCeiling: true };
  const place = await makeServerFolder();
  try {
    const first = await startServer(place.config);
    await fill(first.url, records);
    await first.stop();
    const loading = `server start to ready, its own Redis first loads ${name} records from its AOF`;
    const loaded = { ...row, what: loading, ours: await startsOf(place, rounds) };
    // The same records in a Redis that runs already.
    const redis = await startRedis({
      appendonly: true,
      files: join(place.folder, 'data', 'redis'),
    });
    try {
      const what = `server start to ready, ${name} records, nothing to migrate, Redis runs already`;
      const ours = await startsOf(place, rounds, { VAULT_REDIS_URL: redis.url });
      return [{ ...row, what, ours }, loaded];
    } finally {
      await redis.stop();
    }
  } finally {
    place.remove();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { printRows } = await import('./support/table.mjs');
  printRows(
    await run({
      quick: process.argv.includes('--quick'),
      records: Number(process.argv[2]) || undefined,
    }),
  );
}
