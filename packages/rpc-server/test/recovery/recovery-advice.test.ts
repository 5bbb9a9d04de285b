/** What an operator is told where halves are missing: every way back that this data folder has. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { utimesSync, writeFileSync } from 'node:fs';
import { DegradedError } from '@vault/redis-store';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { withRecoveryAdvice } from '../../src/recovery/recovery-advice.js';

const NEEDED = '629f55e71a33ed6c';
const MISSING = { neededKeyId: NEEDED, foundKeyIds: [], diagnosis: ['Half A is missing.'] };

const resources = new Resources();
let folder: TemporaryFolder;
beforeEach(() => {
  folder = resources.use(new TemporaryFolder('vault-advice'));
});
afterEach(() => resources.stop());

async function adviceFor(details: DegradedError['details']): Promise<string | undefined> {
  const error = new DegradedError('keysMissing', details);
  return (await withRecoveryAdvice(error, folder.path)).details.advice;
}

function writeBackup(name: string, at: string): void {
  writeFileSync(folder.join(name), '{}');
  utimesSync(folder.join(name), new Date(at), new Date(at));
}

describe('the advice where halves are missing', () => {
  it('names the recovery kit and the config backup', async () => {
    expect(await adviceFor(MISSING)).toBe(
      'put the half back where it was, by hand or with `vault-server recovery-kit restore <file>`, and restart; where it is lost for ever, `vault-server recover` takes a config backup instead',
    );
  });

  it('names the newest backup that a migration left, and the command that puts it back', async () => {
    writeBackup('encryption-backup.json', '2026-11-01T10:00:00.000Z');
    writeBackup('encryption-backup_1.json.pgp', '2026-11-02T10:00:00.000Z');
    writeBackup('encryption-backup_1.json.pgp.manifest', '2026-11-03T10:00:00.000Z');
    const path = folder.join('encryption-backup_1.json.pgp');
    expect(await adviceFor(MISSING)).toContain(
      `where it is lost for ever, \`vault-server restore-migration-backup ${path}\` puts back what a migration kept there 2026-11-02T10:00:00.000Z, and \`vault-server recover\` takes`,
    );
  });

  it('says where the old secret goes, where whole halves are of another key', async () => {
    const other = { neededKeyId: NEEDED, foundKeyIds: ['8306e33881de1e97'], diagnosis: [] };
    expect(await adviceFor(other)).toMatch(
      `put the halves of key ${NEEDED} back beside those of the other key (a secret of the environment goes into <variable>_PREVIOUS)`,
    );
  });

  it('leaves advice as it is, and says nothing of other reasons', async () => {
    expect(await adviceFor({ advice: 'as it was' })).toBe('as it was');
    const error = new DegradedError('redisUnusable', {});
    expect(await withRecoveryAdvice(error, folder.path)).toBe(error);
  });
});
