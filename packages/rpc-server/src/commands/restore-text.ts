/** What `restore-migration-backup` says before and after it. */
import type { CollectionComparison } from '@vault/redis-store';
import { archiveText } from './restore-archive-text.js';
import type { Restored, RestorePlan } from '../recovery/restore-migration-backup.js';

/** Before, where nothing was done. */
export function planText({ comparison, isUnderWay }: RestorePlan, encrypt: boolean): string {
  const { of, records, collections, unrestorable } = comparison;
  const rows = Object.entries(collections);
  const inBackup = rows.flatMap(([name, { inBackup: n }]) => (n === 0 ? [] : [`${name} ${n}`]));
  const missing = rows.flatMap(([name, counts]) => {
    const text = standingText(counts);
    return text === undefined ? [] : [`  ${name}: ${text}`];
  });
  const form = encrypt ? 'encrypted' : 'plaintext';
  return [
    `The backup is whole. It was made of ${FORM_TEXTS[of]}: ${records} records${inBackup.length === 0 ? '' : ` (${inBackup.join(', ')})`}.`,
    ...(unrestorable === 0 ? [] : [`${unrestorable} of them cannot be put back and are left out.`]),
    ...(isUnderWay
      ? ['An earlier run was cut short: this one goes on with it.']
      : missing.length === 0
        ? ['Redis holds no record that is not in the backup.']
        : ['Redis holds, and you would lose from what is served:', ...missing]),
    `What Redis holds is put into a file in the data folder first. Then a new, ${form} database is made of the backup, as the setting says.`,
    'Nothing was done: stop the server, and say --yes to do it.',
    '',
  ].join('\n');
}

const FORM_TEXTS = {
  plaintext: 'a plaintext database',
  encrypted: 'an encrypted database',
  either: 'a database in the middle of a migration',
} as const satisfies Record<RestorePlan['comparison']['of'], string>;

function standingText(counts: CollectionComparison): string | undefined {
  const { onlyInRedis, different, notComparable } = counts;
  const parts = [
    ...(onlyInRedis === 0 ? [] : [`${onlyInRedis} not in the backup`]),
    ...(different === 0 ? [] : [`${different} with other content`]),
    ...(notComparable === 0
      ? []
      : [`${notComparable} that cannot be compared, since their key is lost`]),
  ];
  return parts.length === 0 ? undefined : parts.join(', ');
}

/** After. @param path of the backup; `undefined` where it came from standard input */
export async function restoredText(
  { imported, state, leftOut, archives }: Restored,
  path: string | undefined,
): Promise<string> {
  const kept = await Promise.all(archives.map(archiveText));
  return [
    `${imported.records} records were put back into a new database, ${state}, and verified.`,
    ...leftOut.map(({ collection, id, problem }) => `Left out: ${collection} ${id}: ${problem}`),
    ...imported.replaced.map(
      ({ collection, id }) => `Left out: ${collection} ${id}: another has its unique value`,
    ),
    ...kept,
    ...(path === undefined ? [] : [`Delete ${path} once you are content: it is needed no more.`]),
    'Now start the server.',
    '',
  ].join('\n');
}
