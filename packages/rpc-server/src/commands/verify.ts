/** `vault-server verify`: looks at every record and every index entry, changes nothing. */
import type { VerifyReport } from '@vault/redis-store';
import { withDatabase } from './beside-server.js';
import { CONFIG_OPTIONS, configArguments, JSON_OPTION } from './command.js';
import type { Command } from './command.js';
import { progressBar } from './progress-bar.js';
import { configFor } from './surroundings.js';

export const VERIFY: Command = {
  names: ['verify'],
  summary:
    'Check seal, every record and every index entry; read only; exit status 1 when something is wrong',
  options: { ...CONFIG_OPTIONS, ...JSON_OPTION },
  examples: [
    ['$0 verify', 'Beside a running server, or without one'],
    ['$0 verify --json', 'The whole report, for programs'],
  ],
  async run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    const bar = progressBar(surroundings);
    try {
      const report = await withDatabase(
        surroundings,
        config,
        (database) => database.verify(),
        (progress) => bar.update(progress),
      );
      bar.stop();
      surroundings.writeOut(args['json'] === true ? jsonText(report) : reportText(report));
      return report.isSound ? 'ok' : 'failed';
    } finally {
      bar.stop();
    }
  },
};

export function jsonText(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** One problem, indented: collection and id, what is wrong, and why. */
export function problemLine({
  kind,
  collection,
  id,
  reason,
  index,
}: VerifyReport['problems'][number]): string {
  const where = index === undefined ? '' : ` in index ${index}`;
  return `  ${collection} ${id}: ${kind}${where}${reason === undefined ? '' : ` (${reason})`}`;
}

function reportText(report: VerifyReport): string {
  const { isSound, records, entries, problems, counts, strayFences } = report;
  const looked = `${records} records and ${entries} index entries were checked.`;
  if (isSound) return `Sound: ${looked}\n`;
  const lines = problems.map(problemLine);
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const more = total > problems.length ? [`  … and ${total - problems.length} more`] : [];
  const fences = strayFences.map(
    (partition) => `  partition ${partition}: stands under a foreign fence`,
  );
  const head = `Not sound: ${total + strayFences.length} problems. ${looked}`;
  return `${[head, ...lines, ...more, ...fences].join('\n')}\n`;
}
