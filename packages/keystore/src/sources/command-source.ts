// oxlint-disable no-await-in-loop -- each attempt follows the failure of the one before
/** `command`: the value is read, and perhaps written, by the program of a secret manager. */
import { createHash } from 'node:crypto';
import { KeystoreError } from '../errors.js';
import type { Artefact } from '../half-source.js';
import { HALF_VALUE_MAX_BYTES } from '../half-value.js';
import type { ValueEdit } from '../half-value.js';
import { runCommand } from '../internal/run-command.js';
import type { CommandResult } from '../internal/run-command.js';
import type { RawReading, ValuePlace } from '../value-place.js';

/** A program and its arguments, run without a shell. */
export type CommandLine = readonly [string, ...string[]];

export interface CommandSourceOptions {
  /** Prints the value. Exit status 0 and no output, or {@link missingExitStatus}: there is none. */
  readonly read: CommandLine;
  /**
   * Takes the whole new value on standard input and stores it in place of the old one;
   * empty input means that the last line was removed. Default: read-only.
   */
  readonly write?: CommandLine;
  /** The exit status by which `read` says that there is no such secret; any other is a failure. Default: none. */
  readonly missingExitStatus?: number;
  /**
   * Whether `write` compares and swaps: it stores the value only where what is there has the SHA-256
   * in `VAULT_EXPECTED_SHA256` (64 hex digits, of the bytes that `read` printed; `none` where there is
   * no value), and ends with {@link conflictExitStatus} where it has not. Default: false.
   */
  readonly compareAndSwap?: boolean;
  /** Default: 75, `EX_TEMPFAIL` of sysexits.h. */
  readonly conflictExitStatus?: number;
  /** Whether all the server's machines reach the same secret. Default: true. */
  readonly isShared?: boolean;
  /** For each run. Default: 10 000. */
  readonly timeLimitMs?: number;
  /** The whole environment of the programs. */
  readonly environment: Readonly<Record<string, string>>;
}

/** A secret manager in another region answers within a second or two; five times that. */
const DEFAULT_TIME_LIMIT_MS = 10_000;
/** What a write command prints is thrown away; the limit only ends one that never stops. */
const WRITE_OUTPUT_MAX_BYTES = 65_536;

/** What the write program is told. */
const EXPECTED_VARIABLE = 'VAULT_EXPECTED_SHA256';
const DEFAULT_CONFLICT_EXIT_STATUS = 75;
/** Two servers that append at one instant need two attempts; eight in a row are somebody in a loop. */
const SWAP_ATTEMPTS = 8;

export class CommandPlace implements ValuePlace {
  readonly source = 'command';
  readonly isWritable: boolean;
  readonly isShared: boolean;
  readonly comparesAndSwaps: boolean;
  readonly canCopyAside = false;
  readonly place: string;
  readonly parseOptions = {} as const;
  readonly #options: CommandSourceOptions;
  /** A read gave a value, and nothing was deleted since. */
  #hasValue = false;

  constructor(options: CommandSourceOptions) {
    this.#options = options;
    this.isWritable = options.write !== undefined;
    this.isShared = options.isShared ?? true;
    this.comparesAndSwaps = options.compareAndSwap ?? false;
    // Arguments may hold a token, so only the program is named.
    this.place = options.read[0];
  }

  /** Where a secret manager keeps its secrets is its own affair. */
  artefacts(): Promise<readonly Artefact[]> {
    return Promise.resolve([]);
  }

  async read(): Promise<RawReading> {
    const result = await this.#run(this.#options.read, HALF_VALUE_MAX_BYTES);
    if (result.status === 'failed') return { status: 'unreadable', reason: result.reason };
    const { exitStatus, stdout } = result;
    if (exitStatus === 0 && stdout.length > 0) {
      this.#hasValue = true;
      return { status: 'value', value: stdout };
    }
    stdout.fill(0);
    if (exitStatus === 0 || exitStatus === this.#options.missingExitStatus) {
      return { status: 'missing' };
    }
    const reason = `${this.place} ended with status ${exitStatus}`;
    return { status: 'unreadable', reason };
  }

  writeRefusal(): Promise<string | undefined> {
    return Promise.resolve(
      this.isWritable ? undefined : 'no write command is configured for this source',
    );
  }

  /**
   * With `compareAndSwap` nothing that somebody else wrote meanwhile is lost. Without it two servers of
   * one database are kept apart by the migration lock, and the keystore reads back what it wrote; two
   * databases are not, which is why a shared place with lines of another one is not written at all.
   */
  async change(edit: (current: Buffer | undefined) => ValueEdit): Promise<void> {
    for (let attempt = 1; attempt <= SWAP_ATTEMPTS; attempt++) {
      if (await this.#changeOnce(edit)) return;
    }
    throw new KeystoreError(
      'HALF_CONFLICT',
      `command ${this.place} was changed by somebody else ${SWAP_ATTEMPTS} times in a row`,
    );
  }

  /** @returns false when somebody else changed the value meanwhile */
  async #changeOnce(edit: (current: Buffer | undefined) => ValueEdit): Promise<boolean> {
    const current = await this.#readForChange();
    let next: ValueEdit | undefined;
    try {
      next = edit(current);
      if (next.action === 'keep') return true;
      if (next.action === 'replace' && next.isCorrupt) {
        throw new KeystoreError(
          'HALF_CORRUPT',
          `command ${this.place}: the stored value is corrupt, and a command has no place to copy it aside: mend it by hand`,
        );
      }
      const value = next.action === 'delete' ? Buffer.alloc(0) : next.value;
      if (!(await this.#write(value, current))) return false;
      this.#hasValue = next.action !== 'delete';
      return true;
    } finally {
      current?.fill(0);
      if (next?.action === 'replace') next.value.fill(0);
    }
  }

  /** @returns false when the program says that another value stands there than the expected one */
  async #write(value: Buffer, expected: Buffer | undefined): Promise<boolean> {
    const { write, conflictExitStatus = DEFAULT_CONFLICT_EXIT_STATUS } = this.#options;
    if (write === undefined) {
      throw new KeystoreError('HALF_NOT_WRITABLE', `command ${this.place} has no write command`);
    }
    const variables = this.comparesAndSwaps
      ? { [EXPECTED_VARIABLE]: expected === undefined ? 'none' : sha256(expected) }
      : {};
    const result = await this.#run(write, WRITE_OUTPUT_MAX_BYTES, { input: value, variables });
    if (result.status === 'exited') result.stdout.fill(0);
    if (result.status === 'exited' && result.exitStatus === 0) return true;
    const isConflict =
      this.comparesAndSwaps &&
      result.status === 'exited' &&
      result.exitStatus === conflictExitStatus;
    if (isConflict) return false;
    const reason =
      result.status === 'failed'
        ? result.reason
        : `${write[0]} ended with status ${result.exitStatus}`;
    throw new KeystoreError('HALF_WRITE_FAILED', `command ${this.place}: ${reason}`);
  }

  /** The whole value is written anew, so a value that was there and is not printed now would be lost. */
  async #readForChange(): Promise<Buffer | undefined> {
    const raw = await this.read();
    if (raw.status === 'missing' && this.#hasValue) {
      throw new KeystoreError(
        'HALF_CONFLICT',
        `command ${this.place} printed a value before, and none now: nothing is written in its place`,
      );
    }
    if (raw.status === 'missing') return undefined;
    if (raw.status === 'value') return raw.value;
    throw new KeystoreError('HALF_UNREADABLE', `command ${this.place}: ${raw.reason}`);
  }

  #run(
    argv: CommandLine,
    outputMaxBytes: number,
    more: { readonly input?: Buffer; readonly variables?: Readonly<Record<string, string>> } = {},
  ): Promise<CommandResult> {
    const { input, variables = {} } = more;
    return runCommand(argv, {
      environment: { ...this.#options.environment, ...variables },
      timeLimitMs: this.#options.timeLimitMs ?? DEFAULT_TIME_LIMIT_MS,
      outputMaxBytes,
      ...(input === undefined ? {} : { input }),
    });
  }
}

/** Of at least one half, 32 random bytes, in it: nobody gets back from it to the value. */
function sha256(value: Uint8Array): string {
  return createHash('sha256').update(value).digest('hex');
}
