/** `vault-server verify`: looks at every record and every index entry, changes nothing. */
import type { CredentialDatabase, VerifyReport } from '@vault/redis-store';
import { CONFIG_OPTIONS, JSON_OPTION } from './command.js';
import type { Command } from './command.js';
import { writeReport } from './database-report.js';

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
    const { isSound } = await writeReport(surroundings, args, verify, reportText);
    return isSound ? 'ok' : 'failed';
  },
};

function verify(database: CredentialDatabase): Promise<VerifyReport> {
  return database.verify();
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
