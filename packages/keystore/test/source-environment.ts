/** A source environment for tests: a temporary data folder, this process' user, no variables. */
import { mkdirSync } from 'node:fs';
import { TemporaryFolder } from '../../../test/harness/temporary-folder.js';
import type { SourceEnvironment } from '../src/source-table.js';

export interface TestPlace {
  readonly folder: TemporaryFolder;
  readonly environment: SourceEnvironment;
}

export function makePlace(variables: SourceEnvironment['variables'] = {}): TestPlace {
  const folder = new TemporaryFolder('vault-keystore');
  const dataDir = folder.join('data');
  mkdirSync(dataDir, { mode: 0o700 });
  const path = process.env['PATH'];
  return {
    folder,
    environment: {
      variables: { ...(path === undefined ? {} : { PATH: path }), ...variables },
      dataDir,
      userId: process.geteuid?.(),
      groupId: process.getegid?.(),
    },
  };
}

/** An account that owns nothing here. */
const NOBODY = 65_534;

/** Runs something with the rights of an ordinary user, since root may do everything. */
export async function asOrdinaryUser<T>(work: () => Promise<T>): Promise<T> {
  const { seteuid, geteuid } = process;
  const self = geteuid?.();
  if (seteuid === undefined || self !== 0) return work();
  process.seteuid?.(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid?.(self);
  }
}
