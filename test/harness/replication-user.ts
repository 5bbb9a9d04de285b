import type { RedisServer } from './redis.js';

/** Lines of redis.conf: replicas sign in as a user of their own, whom a test can lock out. */
export const REPLICATION_USER = [
  'user replicator on >of-replicas ~* &* +@all',
  'masteruser replicator',
  'masterauth of-replicas',
] as const;

/** The replicas run on, and get nothing more of what is written: what comes now is lost with the next failover. */
export async function detachReplicas(master: RedisServer): Promise<void> {
  const client = master.client();
  await client.call('ACL', 'SETUSER', 'replicator', 'off');
  await client.call('CLIENT', 'KILL', 'TYPE', 'replica');
}
