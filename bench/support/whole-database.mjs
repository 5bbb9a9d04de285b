/**
 * A process of its own that does one thing to a whole database, so that its peak memory is that thing's.
 * Reads its job from standard input as JSON, prints its result as JSON on the last line.
 */
import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { KeyHalf } from '@vault/crypto';
import { staticCustody } from '@vault/redis-store';
import { openDatabase, recordOf } from './database.mjs';
import { inFlight } from './measure.mjs';

const job = JSON.parse(await text(process.stdin));
const custody = staticCustody(job.halves.map((hex) => KeyHalf.fromHex(hex)));

/** Phase → seconds, from the progress reports. */
const phases = {};
let last = process.hrtime.bigint();
function onProgress({ phase, done, total }) {
  const now = process.hrtime.bigint();
  phases[phase] = (phases[phase] ?? 0) + Number(now - last) / 1e9;
  last = now;
  if (process.stderr.isTTY) process.stderr.write(`\r${phase} ${done}/${total}   `);
}

const open = (encrypt) =>
  openDatabase(
    { socketPath: job.socketPath },
    { encrypt, custody, dataDir: job.dataDir, onProgress },
  );

const actions = {
  fill: async () => {
    const { collection, close } = await open(false);
    await inFlight(job.records, 2000, (n) => collection.add(recordOf(n)));
    await close();
  },
  encrypt: async () => (await open(true)).close(),
  decrypt: async () => (await open(false)).close(),
  open: async () => (await open(true)).close(),
  rotate: async () => {
    const { database, close } = await open(true);
    await database.rotateKey();
    await close();
  },
  verify: async () => {
    const { database, close } = await open(true);
    const report = await database.verify();
    if (!report.isSound) throw new Error('the database is not sound');
    await close();
  },
  export: async () => {
    const { database, close } = await open(true);
    const hash = createHash('sha256');
    for await (const { id, record } of database.exportRecords())
      hash.update(id + JSON.stringify(record));
    await close();
  },
  import: async () => {
    const { database, close } = await open(true);
    const spool = await database.openImport();
    for (let n = 0; n < job.records; n++) {
      await spool.add('server', `import-${String(n).padStart(9, '0')}`, recordOf(n));
    }
    await database.import(spool);
    await close();
  },
};

const started = process.hrtime.bigint();
await actions[job.action]();
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
const cpuSeconds = (userCPUTime + systemCPUTime) / 1e6;
process.stdout.write(
  `${JSON.stringify({ seconds, cpuSeconds, phases, peakBytes: maxRSS * 1024 })}\n`,
);
