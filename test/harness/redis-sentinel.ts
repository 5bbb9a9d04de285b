import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findFreePort } from './free-port.js';
import { Program } from './program.js';
import { RedisServer } from './redis.js';
import { detachReplicas, REPLICATION_USER } from './replication-user.js';
import type { Stoppable } from './resources.js';
import { TemporaryFolder } from './temporary-folder.js';

const SENTINELS = 3;
const QUORUM = 2;
const READY_LIMIT_MS = 30_000;
const POLL_MS = 50;

/** A master, its replica, and three sentinels that replace the master about a second after it is gone. */
export class RedisSentinel implements Stoppable {
  /** The name under which the sentinels know the master. */
  readonly name = 'vault';
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly sentinelPorts: readonly number[];
  readonly #folder: TemporaryFolder;
  readonly #programs: readonly Program[];
  readonly #clients = new Set<Redis>();

  private constructor(
    servers: { readonly master: RedisServer; readonly replica: RedisServer },
    folder: TemporaryFolder,
    ports: readonly number[],
  ) {
    this.master = servers.master;
    this.replica = servers.replica;
    this.sentinelPorts = ports;
    this.#folder = folder;
    this.#programs = ports.map((port) => this.#startSentinel(port));
  }

  static async start(): Promise<RedisSentinel> {
    const config = ['repl-diskless-sync-delay 0', ...REPLICATION_USER];
    const master = await RedisServer.start({ listen: 'tcp', appendonly: true, config });
    const replica = await RedisServer.start({
      listen: 'tcp',
      appendonly: true,
      config: [...config, `replicaof 127.0.0.1 ${master.port}`],
    });
    const ports = await Promise.all(Array.from({ length: SENTINELS }, () => findFreePort()));
    const folder = new TemporaryFolder('vault-sentinel');
    const sentinel = new RedisSentinel({ master, replica }, folder, ports);
    try {
      await sentinel.#waitUntilWatched();
    } catch (error) {
      await sentinel.stop();
      throw error;
    }
    return sentinel;
  }

  /** `host:port` of every sentinel. */
  get addresses(): string[] {
    return this.sentinelPorts.map((port) => `127.0.0.1:${port}`);
  }

  /** A client that asks the sentinels for the master, closed by `stop()`. */
  client(): Redis {
    const client = new Redis({
      name: this.name,
      sentinels: this.sentinelPorts.map((port) => ({ host: '127.0.0.1', port })),
    });
    client.on('error', () => undefined); // tests see the failure of their command
    this.#clients.add(client);
    return client;
  }

  /** The replica runs on, and gets nothing more of what is written: as one that lags, until the failover. */
  async detachReplica(): Promise<void> {
    await detachReplicas(this.master);
  }

  /** Waits until every sentinel has found that the master of before is down. */
  async untilKnownDown(): Promise<void> {
    const isDown = /\bs_down\b/;
    await this.#askUntil(async (client) =>
      isDown.test(String(await client.call('SENTINEL', 'REPLICAS', this.name))),
    );
  }

  /** What an operator does about a server that is gone for good: the sentinels forget it. */
  async forgetOldMaster(): Promise<void> {
    await this.#askUntil(async (client) => {
      await client.call('SENTINEL', 'RESET', this.name);
      return true;
    });
  }

  /** Kills the master, and waits until the sentinels have made the replica the new one. */
  async failOver(): Promise<void> {
    const promoted = this.#programs.map((program) =>
      program.waitForOutput(/\+switch-master/, { limitMs: READY_LIMIT_MS }),
    );
    await this.master.kill();
    await Promise.all(promoted);
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    await Promise.all(this.#programs.map((program) => program.stop()));
    await this.replica.stop();
    await this.master.stop();
    await this.#folder.stop();
  }

  #startSentinel(port: number): Program {
    const configPath = this.#folder.join(`sentinel-${port}.conf`); // sentinel rewrites it
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${this.#folder.path}`,
      `sentinel monitor ${this.name} 127.0.0.1 ${this.master.port} ${QUORUM}`,
      `sentinel down-after-milliseconds ${this.name} 500`,
      `sentinel failover-timeout ${this.name} 5000`,
    ];
    writeFileSync(configPath, `${lines.join('\n')}\n`);
    return Program.start('redis-server', [configPath, '--sentinel'], { cwd: this.#folder.path });
  }

  /** A failover works only once each sentinel knows the replica and the other sentinels. */
  async #waitUntilWatched(): Promise<void> {
    await this.#askUntil(async (client) => {
      const info = await client.info('sentinel');
      return info.includes(`status=ok`) && isComplete(info);
    });
  }

  async #askUntil(holds: (sentinel: Redis) => Promise<boolean>): Promise<void> {
    const endMs = Date.now() + READY_LIMIT_MS;
    const clients = this.sentinelPorts.map((port) => new Redis({ host: '127.0.0.1', port }));
    for (const client of clients) client.on('error', () => undefined);
    try {
      for (;;) {
        if ((await Promise.all(clients.map(holds))).every(Boolean)) return;
        if (Date.now() > endMs) throw new Error(`sentinels do not say so: ${holds.toString()}`);
        await delay(POLL_MS);
      }
    } finally {
      for (const client of clients) client.disconnect();
    }
  }
}

function isComplete(info: string): boolean {
  return info.includes(`slaves=1,sentinels=${SENTINELS}`);
}
