/** `command`: the value is read, and perhaps written, by the program of a secret manager. */
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

export class CommandPlace implements ValuePlace {
  readonly source = 'command';
  readonly isWritable: boolean;
  readonly isShared: boolean;
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

  /** Two writers at once are kept apart by the migration lock; the keystore reads back what it wrote. */
  async change(edit: (current: Buffer | undefined) => ValueEdit): Promise<void> {
    const current = await this.#readForChange();
    let next: ValueEdit | undefined;
    try {
      next = edit(current);
      if (next.action === 'keep') return;
      if (next.action === 'replace' && next.isCorrupt) {
        throw new KeystoreError(
          'HALF_CORRUPT',
          `command ${this.place}: the stored value is corrupt, and a command has no place to copy it aside: mend it by hand`,
        );
      }
      await this.#write(next.action === 'delete' ? Buffer.alloc(0) : next.value);
      this.#hasValue = next.action !== 'delete';
    } finally {
      current?.fill(0);
      if (next?.action === 'replace') next.value.fill(0);
    }
  }

  async #write(value: Buffer): Promise<void> {
    const { write } = this.#options;
    if (write === undefined) {
      throw new KeystoreError('HALF_NOT_WRITABLE', `command ${this.place} has no write command`);
    }
    const result = await this.#run(write, WRITE_OUTPUT_MAX_BYTES, value);
    if (result.status === 'exited') result.stdout.fill(0);
    if (result.status === 'exited' && result.exitStatus === 0) return;
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

  #run(argv: CommandLine, outputMaxBytes: number, input?: Buffer): Promise<CommandResult> {
    return runCommand(argv, {
      environment: this.#options.environment,
      timeLimitMs: this.#options.timeLimitMs ?? DEFAULT_TIME_LIMIT_MS,
      outputMaxBytes,
      ...(input === undefined ? {} : { input }),
    });
  }
}
