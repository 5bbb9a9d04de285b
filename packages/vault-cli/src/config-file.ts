import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConfigUnusableError, systemErrorCode } from './errors.js';

/** What `register` remembers. */
export interface CliConfig {
  /** URL as typed, without a token. */
  readonly server?: string;
  /** Bearer token. */
  readonly token?: string;
  /** Accept any TLS certificate of {@link server}. Default false. */
  readonly allowUnauthorized?: boolean;
  /** Names this installation to the server, so that registering again replaces its token. */
  readonly clientId?: string;
}

const FIELD_TYPES = {
  server: 'string',
  token: 'string',
  allowUnauthorized: 'boolean',
  clientId: 'string',
} as const satisfies Record<keyof CliConfig, string>;

/** `<configHome>/vault-cli/config.json`: mode 0600 in a folder of mode 0700, since it holds a token. */
export class ConfigFile {
  readonly path: string;

  constructor(configHome: string) {
    this.path = join(configHome, 'vault-cli', 'config.json');
  }

  /**
   * `{}` when there is none.
   *
   * @throws ConfigUnusableError when it is no JSON object of ours, or others can read it.
   */
  async read(): Promise<CliConfig> {
    const text = await this.#readPrivately();
    return text === undefined ? {} : this.#parse(text);
  }

  /** Replaces the file at once: a reader sees the old one or the new one, never half of it. */
  async write(config: CliConfig): Promise<void> {
    const folder = dirname(this.path);
    const temporary = `${this.path}.${randomUUID()}.tmp`;
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(`${JSON.stringify(config)}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.path);
      await syncFolder(folder);
    } catch (error) {
      await rm(temporary, { force: true });
      throw new ConfigUnusableError(`${this.path} cannot be written (${reasonOf(error)})`, {
        cause: error,
        advice: 'check the folder, or point XDG_CONFIG_HOME to another one',
      });
    }
  }

  async #readPrivately(): Promise<string | undefined> {
    let file;
    try {
      file = await open(this.path, 'r');
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw new ConfigUnusableError(`${this.path} cannot be read (${reasonOf(error)})`, {
        cause: error,
        advice: 'check its owner and mode',
      });
    }
    try {
      const { mode } = await file.stat();
      if ((mode & 0o077) !== 0) {
        throw new ConfigUnusableError(
          `${this.path} holds a token, and others may read it (mode ${(mode & 0o777).toString(8)})`,
          { advice: `run chmod 600 ${this.path}` },
        );
      }
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  }

  #parse(text: string): CliConfig {
    const value = parseJson(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.#damaged('it is not a JSON object');
    }
    const fields = new Map<string, unknown>(Object.entries(value));
    for (const [name, type] of Object.entries(FIELD_TYPES)) {
      const field = fields.get(name);
      if (field !== undefined && typeof field !== type) {
        throw this.#damaged(`"${name}" is a ${typeof field}, expected a ${type}`);
      }
    }
    return value;
  }

  #damaged(problem: string): ConfigUnusableError {
    return new ConfigUnusableError(`${this.path} is damaged: ${problem}`, {
      advice: 'delete it and register again',
    });
  }
}

/** Makes the rename durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** `undefined`, which is no JSON value, for text that is not JSON. No parse error: it would quote the text. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  return systemErrorCode(error) ?? 'unexpected error';
}
