/** The pair of sources for a machine that nothing was configured for. */
import { readMachineIdentity } from './internal/machine-identity.js';
import { DEFAULT_MACHINE_PARTS } from './sources/machine-source.js';
import { xenstorePaths } from './source-table.js';
import type { HalfSourceConfig, SourceEnvironment } from './source-table.js';
import { XenstoreConnection } from './xenstore/xenstore-connection.js';
import { XenstoreError } from './xenstore/xenstore-error.js';

export interface DefaultPair {
  readonly halfA: HalfSourceConfig;
  readonly halfB: HalfSourceConfig;
  /** One sentence: why half A is where it is. */
  readonly reason: string;
}

const PROBE_TIME_LIMIT_MS = 2_000;

/**
 * Half B is a file. Half A is in XenStore where there is one, else derived from the machine. A
 * XenStore that is there and cannot be asked now (down, hung, no permission) still counts as there:
 * otherwise one bad start would look for the half where it never was.
 * To be decided once and written down in the configuration with all its fields, not at every start:
 * a machine-id that appears later would change the half.
 */
export async function defaultPair(environment: SourceEnvironment): Promise<DefaultPair> {
  const problem = await probeXenstore(environment);
  const halfB = { source: 'file' } as const;
  if (problem?.failure === 'absent') {
    const { machineId } = await readMachineIdentity();
    // A container without a machine-id may get one later, from a package: then it must not count.
    const parts = machineId === undefined ? (['user'] as const) : DEFAULT_MACHINE_PARTS;
    const halfA = { source: 'machine', parts } as const;
    return { halfA, halfB, reason: 'there is no XenStore on this machine' };
  }
  const reason =
    problem === undefined
      ? 'a XenStore answers on this machine'
      : `there is a XenStore on this machine, though it cannot be asked now: ${problem.message}`;
  return { halfA: { source: 'xenstore' }, halfB, reason };
}

async function probeXenstore(environment: SourceEnvironment): Promise<XenstoreError | undefined> {
  try {
    const connection = await XenstoreConnection.open({
      paths: xenstorePaths(environment),
      timeLimitMs: PROBE_TIME_LIMIT_MS,
    });
    try {
      await connection.read('vm-data');
    } finally {
      await connection.close();
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof XenstoreError)) throw error;
    // Any answer, a refusal as well, shows that there is one.
    return error.failure === 'refused' ? undefined : error;
  }
}
