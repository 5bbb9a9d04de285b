/** `vault-server repair-indexes`: mends what `verify` finds in indexes and id lists. */
import type { RepairReport } from '@vault/redis-store';
import { withDatabase } from './beside-server.js';
import { CONFIG_OPTIONS, configArguments, JSON_OPTION } from './command.js';
import type { Command } from './command.js';
import { progressBar } from './progress-bar.js';
import { configFor } from './surroundings.js';
import { jsonText, problemLine } from './verify.js';

export const REPAIR_INDEXES: Command = {
  names: ['repair-indexes'],
  summary: 'Mend what verify finds in indexes and id lists; records stay as they are',
  options: { ...CONFIG_OPTIONS, ...JSON_OPTION },
  examples: [['$0 repair-indexes', 'Then run verify again']],
  async run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    const bar = progressBar(surroundings);
    try {
      const report = await withDatabase(
        surroundings,
        config,
        (database) => database.repairIndexes(),
        (progress) => bar.update(progress),
      );
      bar.stop();
      surroundings.writeOut(args['json'] === true ? jsonText(report) : reportText(report));
      return report.left.length === 0 ? 'ok' : 'failed';
    } finally {
      bar.stop();
    }
  },
};

function reportText({ repaired, left }: RepairReport): string {
  const counts = Object.entries(repaired).map(([kind, count]) => `  ${kind}: ${count}`);
  const head = counts.length === 0 ? ['Nothing was to be mended.'] : ['Mended:', ...counts];
  const rest = left.length === 0 ? [] : ['Cannot be mended:', ...left.map(problemLine)];
  return `${[...head, ...rest].join('\n')}\n`;
}
