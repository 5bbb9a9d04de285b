/**
 * Runs the commands of a document in `docs/` as an operator types them, so that a runbook cannot drift from the product.
 *
 * Each chapter (`## …`) that has commands is a test of its own, on a machine of its own: a folder that stands for
 * `/etc/vault-server`, `/var/lib/vault-server` and the like, an empty XenStore, no server yet. In a chapter, in order:
 *
 * ````markdown
 * <!-- setup
 * operator-demo encrypted                 hidden from the reader: how the trouble comes about
 * -->
 *
 * <!-- exit 1 -->                         the next block ends with this status; otherwise 0
 * ```sh
 * vault-server verify                     what the reader types
 * ```
 *
 * ```text
 * Sound: … records and … index entries were checked.      what it prints; … stands for anything in a line
 * ```
 * ````
 *
 * A `text` block right behind a `sh` block must be found in its output line by line, in this order. Each block is one
 * `bash -e -o pipefail`, in the same working folder. `test/harness/operator/` holds what a machine with systemd has
 * (`systemctl`, `journalctl`), the two programs, `operator-demo`, which starts a server with a few records, and
 * `operator-fail-migration`, which fills the disk before a migration or in the middle of it.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort } from './free-port.js';
import { FullDisk } from './full-disk.js';
import { Program } from './program.js';
import { Resources, type Stoppable } from './resources.js';
import { TemporaryFolder } from './temporary-folder.js';
import { Xenstored } from './xenstored.js';

const REPOSITORY = join(import.meta.dirname, '../..');
const OPERATOR = join(import.meta.dirname, 'operator');
/** A block may start a server several times on a busy machine. */
const BLOCK_LIMIT_MS = 60_000;
/** Where the documents say that the server listens. */
const DOCUMENTED_ADDRESS = '127.0.0.1:7400';
const DOCUMENTED_RECOVERY = '127.0.0.1:7401';
/** Folders of a real machine, which are folders of the test's own. */
const DOCUMENTED_FOLDERS = ['/etc/vault-server', '/var/lib/vault-server', '/var/backups'];

export interface RunbookStep {
  /** Line of the document, to find it. */
  readonly line: number;
  readonly script: string;
  readonly exitStatus: number;
  /** Lines to be found in the output, `…` for anything. */
  readonly output: readonly string[];
}

export interface RunbookChapter {
  readonly title: string;
  readonly steps: readonly RunbookStep[];
}

type MutableStep = { -readonly [Name in keyof RunbookStep]: RunbookStep[Name] };

/** The chapters that have commands. @param path from the root of the repository */
export function readRunbook(path: string): readonly RunbookChapter[] {
  const lines = readFileSync(join(REPOSITORY, path), 'utf8').split('\n');
  const chapters: { title: string; steps: MutableStep[] }[] = [];
  let exitStatus = 0;
  for (let at = 0; at < lines.length; at += 1) {
    const text = lines[at] as string;
    const start = at + 1;
    const steps = chapters.at(-1)?.steps;
    if (text.startsWith('## ')) chapters.push({ title: text.slice(3), steps: [] });
    else if (/^<!-- exit \d+ -->$/.test(text)) exitStatus = Number(text.slice(10, -4));
    else if (text === '<!-- setup') {
      at = lines.indexOf('-->', start);
      const script = lines.slice(start, at).join('\n');
      steps?.push({ line: start, script, exitStatus: 0, output: [] });
    } else if (text.startsWith('```') && text !== '```') {
      at = lines.indexOf('```', start);
      const block = lines.slice(start, at);
      const last = steps?.at(-1);
      if (text === '```sh') {
        steps?.push({ line: start, script: block.join('\n'), exitStatus, output: [] });
        exitStatus = 0;
      } else if (text === '```text' && lines[start - 3] === '```' && last !== undefined) {
        last.output = block;
      }
    }
  }
  return chapters.filter(({ steps }) => steps.length > 0);
}

/** The machine that a chapter runs on. */
export class RunbookMachine implements Stoppable {
  readonly folder: TemporaryFolder;
  readonly #resources: Resources;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #addresses: Readonly<Record<'server' | 'recovery', string>>;

  private constructor(
    folder: TemporaryFolder,
    resources: Resources,
    environment: NodeJS.ProcessEnv,
    addresses: Readonly<Record<'server' | 'recovery', string>>,
  ) {
    this.folder = folder;
    this.#resources = resources;
    this.#environment = environment;
    this.#addresses = addresses;
  }

  static async start(): Promise<RunbookMachine> {
    const resources = new Resources();
    try {
      const xenstored = resources.use(await Xenstored.start());
      const { LD_PRELOAD, ...disk } = resources.use(
        await FullDisk.prepare('encryption-backup'),
      ).env;
      // Last, so that it is stopped first, with whatever runs in it.
      const folder = resources.use(new TemporaryFolder('vault-runbook'));
      for (const name of ['home', ...DOCUMENTED_FOLDERS]) {
        mkdirSync(folder.join(name), { recursive: true });
      }
      const address = `127.0.0.1:${await findFreePort()}`;
      const recoveryPort = await findFreePort();
      const environment = {
        PATH: `${OPERATOR}:${process.env['PATH'] ?? ''}`,
        HOME: folder.join('home'),
        // Where vault-server looks for its configuration when nobody says otherwise, as it does in /etc.
        XDG_CONFIG_HOME: folder.join('etc'),
        XENSTORED_PATH: xenstored.socketPath,
        OPERATOR_NODE: process.execPath,
        OPERATOR_ADDRESS: address,
        OPERATOR_RECOVERY_PORT: String(recoveryPort),
        OPERATOR_MACHINE: folder.path,
        OPERATOR_PRELOAD: LD_PRELOAD,
        ...disk,
      };
      const addresses = { server: address, recovery: `127.0.0.1:${recoveryPort}` };
      return new RunbookMachine(folder, resources, environment, addresses);
    } catch (error) {
      await resources.stop();
      throw error;
    }
  }

  /** Runs one step. @throws Error with the place in the document and all output, when it does not go as it says */
  async run({ line, script, exitStatus, output }: RunbookStep): Promise<void> {
    const program = Program.start(
      'bash',
      ['-e', '-o', 'pipefail', '-c', this.#translated(script)],
      {
        cwd: this.folder.join('home'),
        env: this.#environment,
      },
    );
    program.endInput();
    const timer = setTimeout(() => program.signal('SIGKILL'), BLOCK_LIMIT_MS);
    const { status } = await program.exited;
    clearTimeout(timer);
    const printed = `${program.stdout}\n${program.stderr}`;
    const problem =
      status === exitStatus
        ? missingLine(
            printed,
            output.map((text) => this.#translated(text)),
          )
        : `exit status ${status}, not ${exitStatus}`;
    if (problem !== undefined) {
      throw new Error(`line ${line}: ${problem}\n${script}\n--- printed:\n${printed}`);
    }
  }

  async stop(): Promise<void> {
    await this.#resources.stop();
  }

  /** What is written of a real machine, as it is on this one. */
  #translated(text: string): string {
    return DOCUMENTED_FOLDERS.reduce(
      (result, name) => result.replaceAll(name, this.folder.join(name)),
      text
        .replaceAll(DOCUMENTED_ADDRESS, this.#addresses.server)
        .replaceAll(DOCUMENTED_RECOVERY, this.#addresses.recovery),
    );
  }
}

/** The first line that is not found behind those before it; `undefined` when all are. */
function missingLine(printed: string, expected: readonly string[]): string | undefined {
  const lines = printed.split('\n');
  let from = 0;
  for (const text of expected.map((line) => line.trimEnd()).filter((line) => line !== '')) {
    const pattern = new RegExp(
      `^${text
        .split('…')
        .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
        .join('.*')}$`,
    );
    const found = lines.findIndex((line, at) => at >= from && pattern.test(line.trimEnd()));
    if (found < 0) return `this line was not printed: ${text}`;
    from = found + 1;
  }
  return undefined;
}
