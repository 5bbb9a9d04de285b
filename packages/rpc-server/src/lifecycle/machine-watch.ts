/**
 * Does this data folder still live on the machine where it was made? A copied machine has the halves
 * and the database of the original, and each of the two may delete what the other one needs. Nothing is
 * refused for it: a machine may be moved on purpose.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '@vault/crypto/files';
import { DATA_FOLDER } from '@vault/redis-store';
import type { StoreLogger } from '@vault/redis-store';
import { differences, readMachineMarks } from './machine-identity.js';
import type { MachineMarks } from './machine-identity.js';

export const MACHINE_FILE = DATA_FOLDER.machine.name;
const MODE = 0o600;

export const COPY_ADVICE =
  'if the other machine is still there, give this one a database and halves of its own; if this folder was moved here on purpose, run `vault-server keys moved`';

interface MachineRecord extends MachineMarks {
  readonly v: 1;
  readonly databaseId: string;
}

/** `machine` in the status. */
export interface MachineNote {
  /** `null`: the machine is the one of before, or cannot be told. */
  readonly machine: {
    readonly isCopy: true;
    /** What is not as it was: `machine-id`, `virtual machine`, `all network cards`. */
    readonly differs: readonly string[];
    readonly advice: string;
  } | null;
}

export class MachineWatch {
  readonly #dataDir: string;
  readonly #root: string;

  /** @param root of the file system, for tests */
  constructor(dataDir: string, root = '/') {
    this.#dataDir = dataDir;
    this.#root = root;
  }

  /** For the status; writes nothing. */
  async note({ databaseId }: { readonly databaseId: string }): Promise<MachineNote> {
    const known = await this.#read();
    if (known?.databaseId !== databaseId) return { machine: null };
    const differs = differences(known, readMachineMarks(databaseId, this.#root));
    return {
      machine: differs.length === 0 ? null : { isCopy: true, differs, advice: COPY_ADVICE },
    };
  }

  /** Once a server serves: says that it is a copy, or writes down where it is. */
  async look(databaseId: string, logger: StoreLogger): Promise<void> {
    try {
      const { machine } = await this.note({ databaseId });
      if (machine === null) await this.#write(databaseId);
      else
        logger.error('This server is a copy: its data folder comes from another machine', {
          ...machine,
        });
    } catch (error) {
      logger.warn('It could not be told whether this machine is a copy', { cause: error });
    }
  }

  /** The operator says that this machine is the one. @returns whether there was anything to accept */
  async accept(): Promise<boolean> {
    const known = await this.#read();
    if (known === undefined) return false;
    const { machine } = await this.note(known);
    await this.#write(known.databaseId);
    return machine !== null;
  }

  /** @returns `undefined` where there is none, or what is there is none */
  async #read(): Promise<MachineRecord | undefined> {
    try {
      const value: unknown = JSON.parse(await readFile(join(this.#dataDir, MACHINE_FILE), 'utf8'));
      return isRecord(value) ? value : undefined;
    } catch (error) {
      const isAbsent = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (isAbsent || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  async #write(databaseId: string): Promise<void> {
    const marks = readMachineMarks(databaseId, this.#root);
    const record: MachineRecord = { v: 1, databaseId, ...marks };
    const path = join(this.#dataDir, MACHINE_FILE);
    await replaceFile(path, `${JSON.stringify(record)}\n`, { mode: MODE });
  }
}

const isMark = (mark: unknown): boolean => mark === null || typeof mark === 'string';

function isRecord(value: unknown): value is MachineRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { v, databaseId, machineId, virtualMachine, networkCards } = value as Record<
    string,
    unknown
  >;
  return (
    v === 1 &&
    typeof databaseId === 'string' &&
    isMark(machineId) &&
    isMark(virtualMachine) &&
    Array.isArray(networkCards) &&
    networkCards.every((card) => typeof card === 'string')
  );
}
