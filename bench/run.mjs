/**
 * All benchmarks as one table: `npm run bench`. The full run writes docs/benchmarks.md; `--quick` runs
 * everything once, small, and only shows that it runs; `--records=N` is the size of whole databases, default 1 000 000.
 */
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { execFileSync } from 'node:child_process';
import { markdownTable } from './support/table.mjs';

const quick = process.argv.includes('--quick');
const records = Number(
  process.argv.find((arg) => arg.startsWith('--records='))?.slice('--records='.length) ?? 1_000_000,
);
const PARTS = ['crypto', 'operations', 'rpc', 'whole-database', 'under-load', 'start'];

const rows = [];
for (const part of PARTS) {
  process.stderr.write(`${part} …\n`);
  const { run } = await import(`./${part}.mjs`);
  rows.push(...(await run({ quick, records })));
}
const table = markdownTable(rows);
process.stdout.write(`${table}\n`);

if (!quick) {
  const redis = /v=(\S+)/.exec(
    execFileSync('redis-server', ['--version'], { encoding: 'utf8' }),
  )?.[1];
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, Redis ${redis}`;
  const page = new URL('../docs/benchmarks.md', import.meta.url);
  writeFileSync(
    page,
    `# Benchmarks

Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}: ${machine}.

Each row compares two things measured in turn in one run, so that a busy machine slows both; *ratio* is how many times as fast we are
as the baseline (for memory, time to ready and bytes: how many times as much), the median over the rounds. Absolute figures are of
this machine and this day. Why some goals are missed, and what would reach them: [performance.md](performance.md).

${table}
`,
  );
  writeFileSync(
    new URL('../docs/benchmarks.json', import.meta.url),
    `${JSON.stringify(rows, undefined, 2)}\n`,
  );
  await import('./scaling.mjs');
}
