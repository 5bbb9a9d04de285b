/** The real vault-server with a few records, put back to how it was before each case. */
import { cpSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { JsonRpcWebSocketClient, type RpcClient } from '../harness/registry-clients.js';
import { killProcessesIn, TemporaryFolder } from '../harness/temporary-folder.js';
import type { Stoppable } from '../harness/resources.js';
import { TEST_ADMIN, VaultServer, type VaultServerOptions } from '../harness/vault-server.js';
import { MARKER } from './records.js';

const SERVERS = 6;

export class ServerStage implements Stoppable {
  readonly server: VaultServer;
  /** What `readAll` gave before anything went wrong. */
  expected: unknown;
  readonly #redis: Readonly<Record<string, string>>;
  readonly #base = new TemporaryFolder('vault-server-base');

  private constructor(server: VaultServer, redis: Readonly<Record<string, string>>) {
    this.server = server;
    this.#redis = redis;
  }

  /** @param redis more of `[redis]`, such as `{ socket }`; without any the server runs its own */
  static async prepare(
    redis: Readonly<Record<string, string>>,
    options: VaultServerOptions = {},
  ): Promise<ServerStage> {
    return new ServerStage(await VaultServer.prepare(options), redis);
  }

  /** Sets whether the next start encrypts. */
  setEncryption(isOn: boolean): void {
    this.server.configure({ redis: { ...this.#redis, encryptCredentialDatabase: isOn } });
  }

  /** A database with records in the state asked for, stopped, and kept for {@link restore}. */
  async makeBase(isEncrypted: boolean): Promise<void> {
    this.setEncryption(isEncrypted);
    await this.server.launch();
    await this.#signedIn(async (call) => {
      for (let n = 0; n < SERVERS; n += 1) {
        const fields = { username: `plain-marker-${n % 2}`, password: `plain-marker-${n}` };
        await call('server.add', { host: `host-${n}.plain-marker.example`, ...fields });
      }
    });
    this.expected = await this.readAll();
    await this.server.terminate();
    await this.#base.stop();
    cpSync(this.server.folder, this.#base.path, { recursive: true, filter: isNoSocket });
  }

  /** Puts the folder back; a Redis of the server's own goes with it. */
  restore(): void {
    killProcessesIn(this.server.folder);
    rmSync(this.server.folder, { recursive: true, force: true });
    cpSync(this.#base.path, this.server.folder, { recursive: true });
  }

  /** All records, with their secrets, by every road that uses an index. */
  async readAll(): Promise<unknown> {
    return this.#signedIn(async (call) => {
      const all = (await call('server.getAll')) as { id: string; host: string }[];
      const byHost = await Promise.all(
        all.map(({ host }) => call('server.getAll', { filter: { host } })),
      );
      const byUsername = await call('server.getAll', { filter: { username: 'plain-marker-1' } });
      const revealed = await Promise.all(all.map(({ id }) => call('server.reveal', { id })));
      return { all, byHost, byUsername, revealed };
    });
  }

  /** Starts it again, and looks at everything. */
  async examine(isEncrypted: boolean): Promise<string[]> {
    const findings: string[] = [];
    this.setEncryption(isEncrypted);
    await this.server.launch();
    if (this.server.state !== 'ready') return [`not ready: ${this.server.stderr}`];
    const read = JSON.stringify(await this.readAll());
    if (read !== JSON.stringify(this.expected)) findings.push(`other records: ${read}`);
    const { status, stdout } = await this.server.run(['verify']);
    if (status !== 0) findings.push(`verify: ${stdout}`);
    if (MARKER.test(this.server.allOutput)) findings.push('a stored value in its output');
    await this.server.terminate();
    return findings;
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await this.#base.stop();
    rmSync(this.server.folder, { recursive: true, force: true });
  }

  async #signedIn<T>(use: (call: RpcClient['call']) => Promise<T>): Promise<T> {
    const client = new JsonRpcWebSocketClient(this.server.webSocketUrl);
    await client.open();
    try {
      await client.call('session.signIn', TEST_ADMIN);
      return await use((method, params) => client.call(method, params));
    } finally {
      await client.close();
    }
  }
}

function isNoSocket(path: string): boolean {
  return !path.endsWith('.sock');
}

/** Waits until a process has ended, or says that it is ready or degraded. */
export async function untilKilledOrUp(server: VaultServer): Promise<void> {
  while (server.isRunning && !/^vault-server (ready|degraded)/m.test(server.stdout)) {
    await delay(20);
  }
}
