/** What `restore-archive` says before and after it, and whatever else keeps an archive. */
import { objectionTo, plaintextRecordsIn } from '@vault/redis-store';
import type { ArchivedSeal, ArchiveInspection } from '@vault/redis-store';

/** Before, where nothing was done. */
export function archivePlanText(inspection: ArchiveInspection): string {
  const { keys, records, keyId, seal } = inspection;
  const objection = objectionTo(inspection);
  return [
    `The archive is whole: ${keys} keys, ${records} of them records; Redis takes them all. ${SEAL_TEXTS[seal](keyId ?? '')}`,
    ...(objection === undefined
      ? []
      : [
          `Take care: ${objection}. Put back, all of it is believed, an administrator whom somebody else wrote into it, too. Say --allow-unprotected only where nobody else can have written the file.`,
        ]),
    'What Redis holds now is put into a file of the same kind first, and is not served any more.',
    'Nothing was done: stop the server, put the lost key half back, and say --yes to do it.',
    '',
  ].join('\n');
}

const SEAL_TEXTS = {
  authentic: (keyId) => `Its seal was made by a holder of key ${keyId}, which is there.`,
  'half-done': (keyId) =>
    `It is of a database in the middle of being encrypted or decrypted, under the key ${keyId}.`,
  'key-missing': (keyId) =>
    `It is under the key ${keyId}, which is not there: without its halves no server opens it.`,
  forged: (keyId) => `It names the key ${keyId}, whose holders did not make it.`,
  plaintext: () => 'It is of a plaintext database.',
  none: () => 'It has no seal that can be read.',
} as const satisfies Record<ArchivedSeal, (keyId: string) => string>;

/** One line for each archive that was made. */
export async function archivesText(archives: readonly string[]): Promise<string> {
  const lines = await Promise.all(archives.map(archiveText));
  return lines.map((line) => `${line}\n`).join('');
}

export async function archiveText(archive: string): Promise<string> {
  const plaintext = (await plaintextRecordsIn(archive)) ?? 0;
  const warning = plaintext === 0 ? '' : `, ${plaintext} records of it in plaintext`;
  return `What stood there is kept in ${archive}${warning}.`;
}
