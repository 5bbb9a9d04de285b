/** `vault-server repair-indexes`: mends what `verify` finds in indexes and id lists. */
import type { CredentialDatabase, RepairReport } from '@vault/redis-store';
import { CONFIG_OPTIONS, JSON_OPTION } from './command.js';
import type { Command } from './command.js';
import { writeReport } from './database-report.js';
import { problemLine } from './verify.js';

export const REPAIR_INDEXES: Command = {
  names: ['repair-indexes'],
  summary: 'Mend what verify finds in indexes and id lists; records stay as they are',
  options: { ...CONFIG_OPTIONS, ...JSON_OPTION },
  examples: [['$0 repair-indexes', 'Then run verify again']],
  async run(surroundings, args) {
    const { left } = await writeReport(surroundings, args, repair, reportText);
    return left.length === 0 ? 'ok' : 'failed';
  },
};

function repair(database: CredentialDatabase): Promise<RepairReport> {
  return database.repairIndexes();
}

function reportText({ repaired, left }: RepairReport): string {
  const counts = Object.entries(repaired).map(([kind, count]) => `  ${kind}: ${count}`);
  const head = counts.length === 0 ? ['Nothing was to be mended.'] : ['Mended:', ...counts];
  const rest = left.length === 0 ? [] : ['Cannot be mended:', ...left.map(problemLine)];
  return `${[...head, ...rest].join('\n')}\n`;
}
