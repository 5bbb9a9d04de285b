/** `/healthz` and `/readyz`: whether the process lives, and whether it serves at this moment. */
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { isChallenge, PROOF_HEADER } from '../instance-identity.js';
import type { InstanceIdentity } from '../instance-identity.js';
import type { Readiness } from '../protocol.js';
import type { Database } from '../rpc/database-port.js';
import { readinessOf } from './api-state.js';
import type { ApiState } from './api-state.js';

/** Redis answers in less than a millisecond; what asks for readiness waits for one or two seconds. */
const REDIS_LIMIT_MS = 1000;

/** Redis is away from a server that was serving: it serves again by itself. */
const REDIS_AWAY: Readiness = { mode: 'degraded', reason: 'redisUnusable', retrying: true };

/** Asks Redis on behalf of everybody who asks at once. */
export class RedisProbe {
  readonly #pending = new WeakMap<Database, Promise<boolean>>();

  async readiness(state: ApiState): Promise<Readiness> {
    if (state.mode !== 'serving' || (await this.#answers(state.database)))
      return readinessOf(state);
    return REDIS_AWAY;
  }

  async #answers(database: Database): Promise<boolean> {
    let pending = this.#pending.get(database);
    if (pending === undefined) {
      pending = database.checkRedis().then(
        () => true,
        () => false,
      );
      this.#pending.set(database, pending);
      void pending.finally(() => this.#pending.delete(database));
    }
    const tooLate = new AbortController();
    try {
      const limit = delay(REDIS_LIMIT_MS, false, { signal: tooLate.signal, ref: false });
      return await Promise.race([pending, limit]);
    } finally {
      tooLate.abort();
    }
  }
}

/** @param instance proves to a command of the same data folder that it is this server that answers */
export function serveHealth(
  app: FastifyInstance,
  readiness: () => Promise<Readiness>,
  databaseId: () => string | undefined,
  instance: InstanceIdentity | undefined,
): void {
  app.get('/healthz', () => ({ status: 'up' }));
  app.get<{ Querystring: { challenge?: unknown } }>('/readyz', async (request, reply) => {
    const ready = await readiness();
    const { challenge } = request.query;
    void reply.code(ready.mode === 'serving' ? 200 : 503).header('Cache-Control', 'no-store');
    if (instance === undefined || !isChallenge(challenge)) return reply.send(ready);
    const id = databaseId();
    const named = { ...ready, instance: instance.id, ...(id !== undefined && { databaseId: id }) };
    const body = JSON.stringify(named);
    return reply
      .type('application/json; charset=utf-8')
      .header(PROOF_HEADER, instance.prove(challenge, body))
      .send(body);
  });
}
