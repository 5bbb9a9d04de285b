/** What `verify` and `repair-indexes` share: work on the whole database, with a progress bar and a report. */
import type { CredentialDatabase } from '@vault/redis-store';
import { withDatabase } from './beside-server.js';
import { configArguments } from './command.js';
import type { Command } from './command.js';
import { progressBar } from './progress-bar.js';
import { configFor } from './surroundings.js';

type RunParameters = Parameters<Command['run']>;

/** Works on the database and writes the report: as text, or as JSON with `--json`. @returns the report */
export async function writeReport<Report extends object>(
  surroundings: RunParameters[0],
  args: RunParameters[1],
  work: (database: CredentialDatabase) => Promise<Report>,
  textOf: (report: Report) => string,
): Promise<Report> {
  const config = configFor(surroundings, configArguments(args));
  const bar = await progressBar(surroundings);
  try {
    const report = await withDatabase(surroundings, config, work, (progress) =>
      bar.update(progress),
    );
    bar.stop();
    surroundings.writeOut(args['json'] === true ? jsonText(report) : textOf(report));
    return report;
  } finally {
    bar.stop();
  }
}

/** A report for programs. */
export function jsonText(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
