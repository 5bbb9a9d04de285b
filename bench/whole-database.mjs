/** Everything that is done to a whole database, at a size and at a tenth of it: encrypt against a bare loop, memory, verify, export, import, rotate, decrypt. */
import { spawn } from 'node:child_process';
import { createCipheriv, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { startRedis } from './support/redis.mjs';

const CHILD = fileURLToPath(new URL('support/whole-database.mjs', import.meta.url));
const BATCH = 500;
const NONCE_BYTES = 12;

async function inOwnProcess(job) {
  const child = spawn(process.execPath, [CHILD], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify(job));
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (child.exitCode !== 0) throw new Error(`${job.action} failed`);
  return JSON.parse(output.trim().split('\n').at(-1));
}

/** The loop that anybody would write: MGET, encrypt, MSET. No backup, no indexes, no verification, no fence. */
async function bareLoop(client, keys) {
  const key = randomBytes(32);
  const started = process.hrtime.bigint();
  for (let at = 0; at < keys.length; at += BATCH) {
    const names = keys.slice(at, at + BATCH);
    const values = await client.mgetBuffer(names);
    const pairs = [];
    values.forEach((value, i) => {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      const ciphertext = cipher.update(value);
      cipher.final();
      pairs.push(`bare:${names[i]}`, Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]));
    });
    await client.mset(pairs);
  }
  return Number(process.hrtime.bigint() - started) / 1e9;
}

async function measure(records) {
  const redis = await startRedis({ appendonly: true });
  const dataDir = mkdtempSync(join(tmpdir(), 'vault-bench-data-'));
  const client = redis.client();
  const halves = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
  const job = (action) =>
    inOwnProcess({ action, records, halves, dataDir, socketPath: redis.socketPath });
  try {
    const results = { records };
    await job('fill');
    results.plainBytes = await usedBytes(client);
    const keys = (await client.zrange('vault:{server}:ids', '0', '-1')).map(
      (id) => `vault:{server}:r:${id}`,
    );
    results.bareSeconds = await bareLoop(client, keys);
    for (let at = 0; at < keys.length; at += BATCH) {
      await client.unlink(keys.slice(at, at + BATCH).map((key) => `bare:${key}`));
    }
    results.encrypt = await job('encrypt');
    results.encryptedBytes = await usedBytes(client);
    for (const action of ['open', 'verify', 'export', 'decrypt'])
      results[action] = await job(action);
    await client.flushall();
    rmSync(dataDir, { recursive: true });
    const fresh = mkdtempSync(join(tmpdir(), 'vault-bench-data-'));
    const other = { records, halves, dataDir: fresh, socketPath: redis.socketPath };
    results.import = await inOwnProcess({ action: 'import', ...other });
    // Last: the new key is in the memory of that process only.
    results.rotate = await inOwnProcess({ action: 'rotate', ...other });
    rmSync(fresh, { recursive: true });
    return results;
  } finally {
    await redis.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function usedBytes(client) {
  const info = await client.info('memory');
  return Number(/used_memory_dataset:(\d+)/.exec(info)?.[1]);
}

const mib = (bytes) => bytes / 2 ** 20;
const perSecond = ({ records }, { seconds }) => records / seconds;

export async function run({ quick = false, records = 1_000_000 } = {}) {
  const size = quick ? 2000 : records;
  const small = await measure(size / 10);
  const large = await measure(size);
  const name = size.toLocaleString('en').replaceAll(',', ' ');
  const rate = (action) => ({
    what: `${action}, ${name} records`,
    baselineName: `the same at a tenth of the size`,
    unit: 'records/s',
    ours: perSecond(large, large[action]),
    baseline: perSecond(small, small[action]),
    ratio: perSecond(large, large[action]) / perSecond(small, small[action]),
  });
  const encryptRate = perSecond(large, large.encrypt);
  const bareRate = size / large.bareSeconds;

  return [
    {
      what: `encrypt, ${name} records: backup, indexes and verification of every record included`,
      baselineName: 'bare MGET → encrypt → MSET, none of these',
      unit: 'records/s',
      ours: encryptRate,
      baseline: bareRate,
      ratio: encryptRate / bareRate,
      goal: 0.5,
    },
    {
      what: `encrypt, ${name} records, by itself`,
      unit: 'records/s',
      ours: encryptRate,
      goal: 20_000,
    },
    {
      what: `peak memory of encrypt, ${name} records`,
      baselineName: 'the same at a tenth of the size',
      unit: 'MiB',
      ours: mib(large.encrypt.peakBytes),
      baseline: mib(small.encrypt.peakBytes),
      ratio: large.encrypt.peakBytes / small.encrypt.peakBytes,
      goal: 1.1,
      isCeiling: true,
    },
    {
      what: 'peak memory of encrypt, by itself',
      unit: 'MiB',
      ours: mib(large.encrypt.peakBytes),
      goal: 238,
      isCeiling: true,
    },
    ...['decrypt', 'import', 'export', 'verify', 'rotate'].map(rate),
    ...['decrypt', 'import', 'export', 'verify', 'rotate'].map((action) => ({
      what: `peak memory of ${action}, ${name} records`,
      baselineName: 'the same at a tenth of the size',
      unit: 'MiB',
      ours: mib(large[action].peakBytes),
      baseline: mib(small[action].peakBytes),
      ratio: large[action].peakBytes / small[action].peakBytes,
    })),
    {
      what: 'bytes of Redis memory per record, two indexes',
      baselineName: 'the same records plain, same indexes',
      unit: 'bytes',
      ours: large.encryptedBytes / size,
      baseline: large.plainBytes / size,
      ratio: large.encryptedBytes / large.plainBytes,
      goal: 1.35,
      isCeiling: true,
    },
    {
      what: `open the store and close it, ${name} records, nothing to migrate`,
      unit: 's',
      ours: large.open.seconds,
      goal: 1.5,
      isCeiling: true,
    },
    {
      what: 'phases of encrypt, seconds',
      unit: JSON.stringify(
        Object.fromEntries(
          Object.entries(large.encrypt.phases).map(([phase, seconds]) => [
            phase,
            Number(seconds.toFixed(1)),
          ]),
        ),
      ),
      ours: large.encrypt.seconds,
    },
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { printRows } = await import('./support/table.mjs');
  printRows(await run({ quick: process.argv.includes('--quick') }));
}
