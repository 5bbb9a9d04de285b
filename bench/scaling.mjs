/**
 * What many records cost on a Redis Cluster, from the figures that `npm run bench` measured and from where the hash
 * tags of our partitions really fall: writes the tables of docs/scaling.md. `node bench/scaling.mjs`
 */
import { readFileSync, writeFileSync } from 'node:fs';

const SLOTS = 16_384;
const RECORDS = [1e6, 1e7, 1e8];
const MASTERS = [3, 6, 12];
const PARTITIONS = [1, 16, 64, 256, 1024];
const GIB = 2 ** 30;

const rows = JSON.parse(readFileSync(new URL('../docs/benchmarks.json', import.meta.url), 'utf8'));

/** The figure of the row whose name begins so. */
function figure(beginning) {
  const row = rows.find(({ what }) => what.startsWith(beginning));
  if (row === undefined)
    throw new Error(`docs/benchmarks.json has no row "${beginning}": run npm run bench`);
  return row.ours;
}

/** CRC16-CCITT (XMODEM) of a hash tag, modulo 16 384: the slot of the Redis Cluster specification. */
function slotOf(tag) {
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    crc &= 0xffff;
  }
  return crc % SLOTS;
}

/** The share of the fullest master, slots being dealt evenly in one run each, as `redis-cli --cluster create` does. */
function fullestShare(partitions, masters) {
  const counts = Array.from({ length: masters }, () => 0);
  for (let i = 0; i < partitions; i++) {
    const tag = partitions === 1 ? 'server' : `server.${i}`;
    counts[Math.floor((slotOf(tag) * masters) / SLOTS)]++;
  }
  return Math.max(...counts) / partitions;
}

const duration = (seconds) =>
  seconds < 120
    ? `${Math.round(seconds)} s`
    : seconds < 7200
      ? `${Math.round(seconds / 60)} min`
      : `${(seconds / 3600).toFixed(1)} h`;

const table = (head, lines) =>
  [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const bytes = figure('bytes of Redis memory per record');
const rates = Object.fromEntries(
  ['encrypt,', 'rotate,', 'verify,', 'decrypt,', 'export,', 'import,'].map((name) => [
    name.slice(0, -1),
    figure(name),
  ]),
);

const sizes = table(
  ['records', 'Redis memory', 'encrypt', 'rotate', 'verify', 'decrypt', 'export', 'import'],
  RECORDS.map((count) => {
    const times = Object.values(rates).map((rate) => duration(count / rate));
    const memory = `${((count * bytes) / GIB).toFixed(1)} GiB`;
    return [count.toLocaleString('en').replaceAll(',', ' '), memory].concat(times);
  }),
);
const balance = table(
  [
    'partitions',
    ...MASTERS.map((masters) => `fullest of ${masters} masters`),
    'commands of a find',
  ],
  PARTITIONS.map((partitions) => {
    const shares = MASTERS.map((masters) => {
      const share = fullestShare(partitions, masters);
      return `${(share * 100).toFixed(0)} % (${(share * masters).toFixed(2)} × even)`;
    });
    return [partitions].concat(shares, partitions);
  }),
);

const page = new URL('../docs/scaling.md', import.meta.url);
const text = readFileSync(page, 'utf8');
const between = (name, content) => [
  new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- /${name} -->)`),
  `$1\n${content}\n\n$2`,
];
writeFileSync(
  page,
  text.replace(...between('sizes', sizes)).replace(...between('balance', balance)),
);
