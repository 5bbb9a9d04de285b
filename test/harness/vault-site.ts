import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Redis } from 'ioredis';
import type { TomlTable } from 'smol-toml';
import { JsonRpcWebSocketClient } from './registry-clients.js';
import { RedisServer } from './redis.js';
import { Resources, type Stoppable } from './resources.js';
import { TcpProxy, type Verdict } from './tcp-proxy.js';
import { TEST_ADMIN, VaultServer } from './vault-server.js';
import { Xenstored } from './xenstored.js';

/** Where half A is kept in XenStore. */
export const HALF_A_NODE = 'vm-data/vault-encryption-key';
const SEAL = 'vault:{meta}:seal';
/** Heartbeats and the lock come and go with a process; they are no part of what is stored. */
const FLEETING = /^vault:\{meta\}:(?:process|lock)/;

/** Everything that a server can write: Redis, the data folder, half A. */
export interface SavedSite {
  /** Key → type and value, in the order of the names; a set or sorted set as its members in order. */
  readonly redis: readonly (readonly [string, string, readonly string[]])[];
  /** Path in the data folder → mode and content, in the order of the paths. */
  readonly files: readonly (readonly [string, number, string])[];
  readonly halfA: string | undefined;
}

type Call = (method: string, params?: object) => Promise<unknown>;

/**
 * A vault-server with all that it works with: a Redis reached through a proxy, half A in a XenStore, half B in a file.
 * Its whole state can be saved and put back, and the server killed just when its database has reached a state.
 */
export class VaultSite implements Stoppable {
  readonly redis: RedisServer;
  readonly proxy: TcpProxy;
  readonly xenstored: Xenstored;
  readonly server: VaultServer;
  readonly #resources: Resources;
  readonly #client: Redis;

  private constructor(
    parts: Pick<VaultSite, 'redis' | 'proxy' | 'xenstored' | 'server'>,
    resources: Resources,
  ) {
    this.redis = parts.redis;
    this.proxy = parts.proxy;
    this.xenstored = parts.xenstored;
    this.server = parts.server;
    this.#resources = resources;
    this.#client = parts.redis.client();
  }

  /** Starts Redis and XenStore; the server is only prepared. */
  static async prepare(): Promise<VaultSite> {
    const resources = new Resources();
    try {
      const xenstored = resources.use(await Xenstored.start());
      const redis = resources.use(await RedisServer.start({ appendonly: true }));
      const target = { path: redis.socketPath as string };
      const proxy = resources.use(await TcpProxy.start({ target }));
      const server = resources.use(
        await VaultServer.prepare({
          // What a start began is to be seen when it says that it is ready.
          args: ['start', '--wait'],
          env: { XENSTORED_PATH: xenstored.socketPath },
          config: {
            keystore: {
              halfA: { source: 'xenstore', path: HALF_A_NODE },
              halfB: { source: 'file' },
            },
          },
        }),
      );
      return new VaultSite({ redis, proxy, xenstored, server }, resources);
    } catch (error) {
      await resources.stop();
      throw error;
    }
  }

  get halfBPath(): string {
    return join(this.server.dataDir, 'vault-encryption-key');
  }

  /** The tables of a configuration with encryption on or off, or without a word on it. */
  encryption(isOn: boolean | undefined, more: TomlTable = {}): TomlTable {
    const setting = isOn === undefined ? {} : { encryptCredentialDatabase: isOn };
    return { redis: { url: this.proxy.url, ...setting }, ...more };
  }

  /** Starts the server with encryption on or off, or without a word on it, until it is ready or degraded. */
  async start(isOn: boolean | undefined, more: TomlTable = {}): Promise<void> {
    this.server.configure(this.encryption(isOn, more));
    await this.server.launch();
  }

  /** Starts the server and kills it with SIGKILL once the seal in Redis fits the pattern. */
  async startAndKillAt(isOn: boolean, seal: RegExp, more: TomlTable = {}): Promise<void> {
    this.server.configure(this.encryption(isOn, more));
    await this.killAt(seal, () => this.server.spawn());
  }

  /** Kills the server once the seal fits the pattern, while `run` goes on. */
  async killAt(seal: RegExp, run: () => unknown): Promise<void> {
    const killed = this.once(seal, async () => {
      await this.server.kill();
    });
    run();
    await killed;
  }

  /** Does something once the seal fits the pattern, before the server gets the reply that made it so. */
  once(seal: RegExp, act: () => Promise<unknown>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.proxy.intercept = async ({ direction }): Promise<Verdict> => {
        if (direction === 'request' || !seal.test(await this.readSeal())) return 'pass';
        this.proxy.intercept = undefined;
        await act().then(() => resolve(), reject);
        return 'pass';
      };
    });
  }

  /** The seal's text; empty when there is none. */
  async readSeal(): Promise<string> {
    return (await this.#client.get(SEAL)) ?? '';
  }

  /** Changes the seal behind the server's back: `''` deletes it. */
  async writeSeal(text: string): Promise<void> {
    if (text === '') await this.#client.del(SEAL);
    else await this.#client.set(SEAL, text);
  }

  /** Runs `use` on a connection that the administrator has signed in on. */
  async signedIn<T>(use: (call: Call) => Promise<T>): Promise<T> {
    const client = new JsonRpcWebSocketClient(this.server.webSocketUrl);
    await client.open();
    try {
      await client.call('session.signIn', TEST_ADMIN);
      return await use((method, params) => client.call(method, params));
    } finally {
      await client.close();
    }
  }

  /** One call of the administrator. */
  call(method: string, params?: object): Promise<unknown> {
    return this.signedIn((call) => call(method, params));
  }

  /** Half A as XenStore holds it, or `undefined`. */
  async readHalfA(): Promise<string | undefined> {
    const { status, stdout } = await this.xenstored.cli('read', [HALF_A_NODE]);
    // xenstore-read shows a line feed inside a value as an escape.
    return status === 0
      ? stdout
          .trimEnd()
          .replaceAll(String.raw`\n`, '\n')
          .trimEnd()
      : undefined;
  }

  /** Sets half A; `undefined` removes it. */
  async writeHalfA(text: string | undefined): Promise<void> {
    if (text === undefined) await this.xenstored.cli('rm', [HALF_A_NODE]);
    else await this.xenstored.cli('write', [HALF_A_NODE, text]);
  }

  /** Sets half B with mode 0400; `undefined` removes it. */
  writeHalfB(text: string | Uint8Array | undefined): void {
    rmSync(this.halfBPath, { force: true });
    if (text !== undefined) writeFileSync(this.halfBPath, text, { mode: 0o400 });
  }

  /** All that is stored now; equal before and after means that nothing was written. */
  async save(): Promise<SavedSite> {
    const names = (await this.#client.keys('*')).filter((name) => !FLEETING.test(name)).toSorted();
    const values = await Promise.all(names.map(async (name) => this.#readKey(name)));
    const folder = this.server.dataDir;
    const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .toSorted();
    return {
      redis: values,
      files: paths.map((path) => [
        relative(folder, path),
        statSync(path).mode & 0o777,
        readFileSync(path, 'base64'),
      ]),
      halfA: await this.readHalfA(),
    };
  }

  /** Puts everything back as it was saved; the server must not run. */
  async restore(saved: SavedSite): Promise<void> {
    await this.#client.flushall();
    for (const [name, type, values] of saved.redis) {
      const bytes = values.map((value) => Buffer.from(value, 'latin1'));
      if (type === 'string') await this.#client.set(name, bytes[0] as Buffer);
      else if (type === 'set') await this.#client.sadd(name, ...bytes);
      else await this.#client.zadd(name, ...bytes.flatMap((member) => ['0', member]));
    }
    const folder = this.server.dataDir;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { mode: 0o700 });
    for (const [path, mode, content] of saved.files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true, mode: 0o700 });
      writeFileSync(join(folder, path), Buffer.from(content, 'base64'));
      chmodSync(join(folder, path), mode);
    }
    await this.writeHalfA(saved.halfA);
  }

  async stop(): Promise<void> {
    await this.#resources.stop();
  }

  /** Bytes come as latin1 text, so that any value can be compared and written back. */
  async #readKey(name: string): Promise<SavedSite['redis'][number]> {
    const type = await this.#client.type(name);
    if (type === 'string') {
      return [name, type, [(await this.#client.getBuffer(name))?.toString('latin1') ?? '']];
    }
    const members =
      type === 'set'
        ? await this.#client.smembersBuffer(name)
        : await this.#client.zrangeBuffer(name, '0', '-1'); // every score is 0
    return [name, type, members.map((member) => member.toString('latin1')).toSorted()];
  }
}
