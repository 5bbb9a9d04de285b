import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import { RedisServer } from './redis.js';
import { REPLICATION_USER } from './replication-user.js';
import type { Stoppable } from './resources.js';

const SLOTS = 16_384;
const MASTERS = 3;
const READY_LIMIT_MS = 30_000;
const POLL_MS = 50;

export interface RedisClusterOptions {
  readonly appendonly?: boolean;
  /** More lines of each node's redis.conf. */
  readonly config?: readonly string[];
}

/** A Redis Cluster of three masters with a replica each, on TCP ports of 127.0.0.1. */
export class RedisCluster implements Stoppable {
  readonly masters: readonly RedisServer[];
  /** `replicas[i]` follows `masters[i]` at first; a failover changes that. */
  readonly replicas: readonly RedisServer[];
  readonly #clients = new Set<Cluster>();

  private constructor(nodes: readonly RedisServer[]) {
    this.masters = nodes.slice(0, MASTERS);
    this.replicas = nodes.slice(MASTERS);
  }

  /** Starts six servers, joins them by CLUSTER commands, and waits until all slots are served and replicated. */
  static async start(options: RedisClusterOptions = {}): Promise<RedisCluster> {
    const config = [
      'cluster-enabled yes',
      'cluster-node-timeout 2000', // a failover takes about this long; the default is 15 s
      'repl-diskless-sync-delay 0',
      ...REPLICATION_USER,
      ...(options.config ?? []),
    ];
    const started = await Promise.allSettled(
      Array.from({ length: 2 * MASTERS }, () =>
        RedisServer.start({ listen: 'tcp', appendonly: options.appendonly ?? false, config }),
      ),
    );
    const nodes = started.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
    const failed = started.find((result) => result.status === 'rejected');
    const cluster = new RedisCluster(nodes);
    try {
      if (failed !== undefined) throw failed.reason;
      await cluster.#join();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** `host:port` of every node, as configurations list them. */
  get addresses(): string[] {
    return this.#nodes().map((node) => `127.0.0.1:${node.port}`);
  }

  /** A client of the cluster, closed by `stop()`. */
  client(): Cluster {
    const client = new Cluster(
      this.#nodes().map((node) => ({ host: '127.0.0.1', port: node.port as number })),
    );
    client.on('error', () => undefined); // tests see the failure of their command
    this.#clients.add(client);
    return client;
  }

  /** Moves one slot with all its keys to another master, as a resharding does. */
  async moveSlot(slot: number, from: RedisServer, to: RedisServer): Promise<void> {
    const source = from.client();
    const target = to.client();
    const sourceId = String(await source.call('CLUSTER', 'MYID'));
    const targetId = String(await target.call('CLUSTER', 'MYID'));
    await target.call('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', sourceId);
    await source.call('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', targetId);
    const count = Number(await source.call('CLUSTER', 'COUNTKEYSINSLOT', String(slot)));
    if (count > 0) {
      const keys = await source.call('CLUSTER', 'GETKEYSINSLOT', String(slot), String(count));
      const port = String(to.port);
      const command = ['127.0.0.1', port, '', '0', '5000', 'KEYS', ...(keys as string[])];
      await source.call('MIGRATE', ...command);
    }
    for (const client of [target, source]) {
      await client.call('CLUSTER', 'SETSLOT', String(slot), 'NODE', targetId);
    }
  }

  /**
   * Kills a master whose replica got nothing more since `detachReplicas`, and waits until the replica has its slots.
   * @param index of the master and its replica
   */
  async failOver(index: number): Promise<void> {
    const replica = this.replicas[index] as RedisServer;
    await (this.masters[index] as RedisServer).kill();
    const client = replica.client();
    const endMs = Date.now() + READY_LIMIT_MS;
    while (
      !(await client.info('replication')).includes('role:master') ||
      !String(await client.call('CLUSTER', 'INFO')).includes('cluster_state:ok')
    ) {
      if (Date.now() > endMs) throw new Error('the replica was not made master');
      await delay(POLL_MS);
    }
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    await Promise.all(this.#nodes().map((node) => node.stop()));
  }

  #nodes(): readonly RedisServer[] {
    return [...this.masters, ...this.replicas];
  }

  async #join(): Promise<void> {
    const [first] = this.masters as readonly [RedisServer, ...RedisServer[]];
    await Promise.all(
      this.masters.map(async (node, index) => {
        const client = node.client();
        await client.call('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
        const start = Math.floor((SLOTS * index) / MASTERS);
        const end = Math.floor((SLOTS * (index + 1)) / MASTERS);
        const slots = Array.from({ length: end - start }, (_, offset) => String(start + offset));
        await client.call('CLUSTER', 'ADDSLOTS', ...slots);
      }),
    );
    for (const node of this.#nodes().slice(1)) {
      await first.client().call('CLUSTER', 'MEET', '127.0.0.1', String(node.port));
    }
    const everyNode = this.#nodes();
    await this.#until('every node knows the others', async (node) => {
      const nodes = String(await node.client().call('CLUSTER', 'NODES'));
      return nodes.trim().split('\n').length === everyNode.length && !nodes.includes('handshake');
    });
    await Promise.all(
      this.replicas.map(async (replica, index) => {
        const master = this.masters[index] as RedisServer;
        const id = String(await master.client().call('CLUSTER', 'MYID'));
        await replica.client().call('CLUSTER', 'REPLICATE', id);
      }),
    );
    await this.#until('every slot is served and replicated', async (node) => {
      const info = String(await node.client().call('CLUSTER', 'INFO'));
      const replication = await node.client().info('replication');
      const isReplicated = /role:master[^]*state=online|master_link_status:up/.test(replication);
      return info.includes('cluster_state:ok') && isReplicated;
    });
  }

  async #until(what: string, holds: (node: RedisServer) => Promise<boolean>): Promise<void> {
    const endMs = Date.now() + READY_LIMIT_MS;
    for (;;) {
      const answers = await Promise.all(this.#nodes().map((node) => holds(node)));
      if (answers.every(Boolean)) return;
      if (Date.now() > endMs) throw new Error(`not so after ${READY_LIMIT_MS} ms: ${what}`);
      await delay(POLL_MS);
    }
  }
}
