import { join } from 'node:path';
import { JsonRpcWebSocketClient, type RpcClient } from './registry-clients.js';
import { RedisServer } from './redis.js';
import { Resources, type Stoppable } from './resources.js';
import { TemporaryFolder } from './temporary-folder.js';
import { TEST_ADMIN, VaultServer } from './vault-server.js';
import { Xenstored } from './xenstored.js';

const HALF_A_NODE = 'vm-data/vault-encryption-key';

/**
 * Several vault-servers on one Redis, as one service has them: each with a data folder of its own, half A of all in one
 * XenStore, half B of all in one file on a share.
 */
export class ServerGroup implements Stoppable {
  readonly redis: RedisServer;
  readonly xenstored: Xenstored;
  /** The file of half B that the servers share. */
  readonly halfBPath: string;
  readonly #resources: Resources;

  private constructor(redis: RedisServer, xenstored: Xenstored, resources: Resources) {
    this.redis = redis;
    this.xenstored = xenstored;
    this.#resources = resources;
    this.halfBPath = join(resources.use(new TemporaryFolder('vault-share')).path, 'half-b');
  }

  /** Starts Redis and XenStore, and no server. */
  static async start(): Promise<ServerGroup> {
    const resources = new Resources();
    try {
      const xenstored = resources.use(await Xenstored.start());
      const redis = resources.use(await RedisServer.start({ appendonly: true }));
      return new ServerGroup(redis, xenstored, resources);
    } catch (error) {
      await resources.stop();
      throw error;
    }
  }

  /** One more server, not yet started. @param halfBPath default: the shared one */
  async prepare(isEncrypting = true, halfBPath = this.halfBPath): Promise<VaultServer> {
    const server = await VaultServer.prepare({
      env: { XENSTORED_PATH: this.xenstored.socketPath },
      config: {
        keystore: {
          halfA: { source: 'xenstore', path: HALF_A_NODE },
          halfB: { source: 'file', path: halfBPath, shared: true },
        },
        redis: this.redisTable(isEncrypting),
      },
    });
    return this.#resources.use(server);
  }

  redisTable(isEncrypting: boolean): { socket: string; encryptCredentialDatabase: boolean } {
    return {
      socket: this.redis.socketPath as string,
      encryptCredentialDatabase: isEncrypting,
    };
  }

  /** Half A as the store holds it. */
  async readHalfA(): Promise<string> {
    return (await this.xenstored.cli('read', [HALF_A_NODE])).stdout;
  }

  /** A connection that the administrator has signed in on, closed with the group. */
  async signIn(server: VaultServer): Promise<RpcClient> {
    const client = new JsonRpcWebSocketClient(server.webSocketUrl);
    await client.open();
    this.#resources.defer(() => client.close().catch(() => undefined));
    await client.call('session.signIn', TEST_ADMIN);
    return client;
  }

  /** Starts it, and gives the administrator's connection. @throws Error with its log when it is degraded */
  async launch(server: VaultServer): Promise<RpcClient> {
    await server.launch();
    if (server.state !== 'ready') throw new Error(server.stderr);
    return this.signIn(server);
  }

  async stop(): Promise<void> {
    await this.#resources.stop();
  }
}
