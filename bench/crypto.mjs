/**
 * What one record costs: two blind index tokens and the envelope, against two libraries that do the same work,
 * and our parts against bare `node:crypto`. Run alone: `node bench/crypto.mjs [--quick]` (after `tsc -b`).
 *
 * A ratio compares medians of one round; rounds are short and alternate ours and the baseline, so that a busy
 * machine slows both. Given is the median over rounds, with the quartiles as spread.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes, randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { encryptStringSync, generateKey, parseKeySync } from '@47ng/cloak';
import {
  blindIndexToken,
  encodeIndexEntries,
  KeyHalf,
  normaliseValue,
  openEnvelope,
  sealEnvelope,
  VaultKey,
} from '@vault/crypto';
import ciphersweet from 'ciphersweet-js';
import { Bench } from 'tinybench';

/** About 300 bytes of JSON, as a hypervisor's record is. */
const RECORD = {
  host: 'xen01.rack4.paris.example.org',
  username: 'root',
  password: 'correct horse battery staple, and then some more',
  label: 'rack 4, pool master',
  allowUnauthorized: false,
  enabled: true,
  readOnly: false,
  tags: ['production', 'paris'],
  error: { code: 'ECONNREFUSED', at: 1_763_800_000_000 },
  note: 'replaced in march; the old address answers until summer',
};
const ID = randomUUID();
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Both indexes of a record, then the envelope: all that storing it takes of cryptography. */
function makeOurs() {
  const key = VaultKey.derive(KeyHalf.generate(), KeyHalf.generate());
  const record = key.recordKey('server');
  const host = key.indexKey('server', 'host');
  const username = key.indexKey('server', 'username');
  const seal = (header) => sealEnvelope(record, ID, Buffer.from(JSON.stringify(RECORD)), header);
  const store = () =>
    seal(
      encodeIndexEntries([
        { index: 'host', token: blindIndexToken(host, normaliseValue(RECORD.host)) },
        { index: 'username', token: blindIndexToken(username, normaliseValue(RECORD.username)) },
      ]),
    );
  const stored = store();
  return {
    store,
    seal: () => seal(undefined),
    open: () => JSON.parse(openEnvelope(record, ID, stored).toString()),
    token: () => blindIndexToken(host, normaliseValue(RECORD.host)),
  };
}

/** The same by node:crypto with nothing around it: random nonce, no associated data, no format. */
function makeBare() {
  const key = randomBytes(32);
  const seal = () => {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    const ciphertext = cipher.update(Buffer.from(JSON.stringify(RECORD)));
    return Buffer.concat([nonce, ciphertext, cipher.final(), cipher.getAuthTag()]);
  };
  const stored = seal();
  const open = () => {
    const decipher = createDecipheriv('aes-256-gcm', key, stored.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(stored.subarray(-TAG_BYTES));
    const text = decipher.update(stored.subarray(NONCE_BYTES, -TAG_BYTES));
    return JSON.parse(Buffer.concat([text, decipher.final()]).toString());
  };
  const tokenOf = (value) =>
    createHmac('sha256', key).update(normaliseValue(value)).digest('base64url');
  return { seal, open, tokenOf, token: () => tokenOf(RECORD.host) };
}

/** Cloak has no index of its own: its users hash beside it, here by the cheapest keyed hash there is. */
function makeCloak({ tokenOf }) {
  const key = parseKeySync(generateKey());
  return () => [
    encryptStringSync(JSON.stringify(RECORD), key),
    tokenOf(RECORD.host),
    tokenOf(RECORD.username),
  ];
}

/** With its fast index hash (the slow one is meant to take milliseconds). The record is one field, as ours is one envelope. */
function makeCiphersweet(backend) {
  const { BlindIndex, CipherSweet, EncryptedField, Lowercase, StringProvider } = ciphersweet;
  const engine = new CipherSweet(new StringProvider(randomBytes(32).toString('hex')), backend);
  const record = new EncryptedField(engine, 'server', 'record');
  const [host, username] = ['host', 'username'].map((name) =>
    new EncryptedField(engine, 'server', name).addBlindIndex(
      new BlindIndex(name, [new Lowercase()], 128, true),
    ),
  );
  return async () => [
    await record.encryptValue(JSON.stringify(RECORD)),
    await host.getBlindIndex(RECORD.host, 'host'),
    await username.getBlindIndex(RECORD.username, 'username'),
  ];
}

/** Calls of one sample: enough that reading the clock does not count. */
const BATCH = 16;

function batched(task) {
  return () => {
    for (let i = 0; i < BATCH; i++) task();
  };
}

function batchedAsync(task) {
  return async () => {
    for (let i = 0; i < BATCH; i++) await task();
  };
}

/** @param {number[]} numbers @param {number} share 0 to 1: 0.5 is the median */
const quantile = (numbers, share) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(share * (numbers.length - 1))];

/** @returns median latency of each task, in microseconds */
async function measureRound(tasks, timeMs) {
  const bench = new Bench({ time: timeMs, warmup: false });
  for (const [name, task] of Object.entries(tasks)) bench.add(name, task);
  await bench.run();
  return Object.fromEntries(
    bench.tasks.map(({ name, result }) => {
      if (result.state !== 'completed') throw new Error(`${name}: ${result.state}`);
      return [name, (result.latency.p50 * 1000) / BATCH];
    }),
  );
}

async function compare({ what, baselineName, goal, ours, baseline }, { quick }) {
  const rounds = [];
  const roundCount = quick ? 5 : 51;
  await measureRound({ ours, baseline }, quick ? 20 : 500); // the compiler has its say before anything counts
  for (let i = 0; i < roundCount; i++) rounds.push(await measureRound({ ours, baseline }, 20));
  const ratios = rounds.map((round) => round.baseline / round.ours);
  return {
    what,
    baselineName,
    unit: 'µs',
    ours: quantile(
      rounds.map((round) => round.ours),
      0.5,
    ),
    baseline: quantile(
      rounds.map((round) => round.baseline),
      0.5,
    ),
    ratio: quantile(ratios, 0.5),
    spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    goal,
  };
}

/**
 * @param {{ quick?: boolean }} options quick: a tenth of the time, only to see that it runs
 * @returns rows `{ what, baselineName, unit, ours, baseline, ratio, spread: [quartile, quartile], goal }`; ratio = baseline / ours,
 *   above 1 is faster than the baseline; goal is undefined where there is none
 */
export async function run({ quick = false } = {}) {
  const ours = makeOurs();
  const bare = makeBare();
  const whole = 'blind index + envelope of one record';
  const comparisons = [
    [whole, 'ciphersweet-js', 8, ours.store, makeCiphersweet(), batchedAsync],
    [
      whole,
      'ciphersweet-js, libsodium',
      undefined,
      ours.store,
      makeCiphersweet(new ciphersweet.ModernCrypto()),
      batchedAsync,
    ],
    [whole, '@47ng/cloak + 2 HMAC', 1.3, ours.store, makeCloak(bare)],
    ['seal one record', 'bare node:crypto', undefined, ours.seal, bare.seal],
    ['open one record', 'bare node:crypto', undefined, ours.open, bare.open],
    ['blind index token', 'createHmac, not truncated', undefined, ours.token, bare.token],
  ];
  const rows = [];
  for (const [what, baselineName, goal, mine, theirs, batchTheirs = batched] of comparisons) {
    const tasks = { ours: batched(mine), baseline: batchTheirs(theirs) };
    const comparison = { what, baselineName, goal, ...tasks };
    rows.push(await compare(comparison, { quick }));
  }
  return rows;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const row of await run({ quick: process.argv.includes('--quick') })) {
    const { what, baselineName, unit, ours, baseline, ratio, spread, goal } = row;
    const [low, high] = spread.map((value) => value.toFixed(2));
    process.stdout.write(
      `${what}: ${ours.toFixed(2)} ${unit}; ${baselineName}: ${baseline.toFixed(2)} ${unit}; ` +
        `ratio ${ratio.toFixed(2)} (${low} to ${high})${goal === undefined ? '' : `, goal ${goal}`}\n`,
    );
  }
}
