/** Watches how long a server's turns of the event loop take: see long-turns.mjs, which is loaded into it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const PRELOADED = pathToFileURL(join(import.meta.dirname, 'long-turns.mjs')).href;

export class LoopWatch {
  readonly #file: string;
  #seen = 0;

  /** @param folder that lives as long as the server */
  constructor(folder: string) {
    this.#file = join(folder, 'long-turns');
  }

  /** For the environment of the server. */
  get env(): Readonly<Record<string, string>> {
    return { NODE_OPTIONS: `--import ${PRELOADED}`, VAULT_LOOP_WATCH: this.#file };
  }

  /** Processor time of the longest turn since the last question, in milliseconds; 0 where all were short. */
  longestMs(): number {
    const lines = existsSync(this.#file) ? readFileSync(this.#file, 'utf8').trim().split('\n') : [];
    const fresh = lines.slice(this.#seen).map(Number);
    this.#seen = lines.length;
    return Math.max(0, ...fresh);
  }
}
