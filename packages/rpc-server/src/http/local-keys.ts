/**
 * What `vault-server keys put-back` asks of the running server, over the local socket in the data folder
 * and nowhere else: who may open that (mode 0600) could read the memory of the server as well.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { MissingHalf, OperationStatus, StoreLogger } from '@vault/redis-store';
import type { ClientAddresses } from '../admission/client-address.js';
import type { Services } from '../rpc/call-context.js';
import { apiErrorOf } from '../rpc/error-answer.js';

export const PUT_BACK_PATH = '/local/keys/put-back';

/** Keys in use of which a half is gone: what the tools beside the server cannot know, since they have no key then. */
export const MISSING_PATH = '/local/keys/missing';

export interface MissingAnswer {
  readonly missingHalves?: readonly MissingHalf[];
  /** Why the rewriting that goes on beside serving does not come to its end: only the server that tried knows. */
  readonly operationFailed?: OperationFailed;
}

export type OperationFailed = NonNullable<OperationStatus['failed']>;

/** What is answered: 200 with `keyIds`, else a `message`. */
export interface PutBackAnswer {
  /** Keys that were not whole. */
  readonly keyIds?: readonly string[];
  readonly message?: string;
}

export interface LocalKeysOptions {
  /** @throws {ApiError} while nothing is served */
  readonly services: () => Services;
  readonly isServing: () => boolean;
  readonly addresses: ClientAddresses;
  readonly logger: StoreLogger;
}

/** Adds the route. */
export function serveLocalKeys(
  app: FastifyInstance,
  { services, isServing, addresses, logger }: LocalKeysOptions,
): void {
  const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { isLocal, address } = addresses.clientOf(request.raw);
    void reply.header('Cache-Control', 'no-store').header('Connection', 'close');
    if (!isLocal) {
      void reply.code(404).send('not found\n');
      return;
    }
    try {
      const { audit, database } = services();
      audit.record({ action: 'encryption.putBackKeys', address });
      const keyIds = await database.putBackKeys();
      void reply.send({ keyIds } satisfies PutBackAnswer);
    } catch (error) {
      const known = apiErrorOf(error);
      if (known === undefined) logger.error('unexpected error', { cause: error });
      const cause = known?.cause instanceof Error ? known.cause.message : known?.message;
      const message = cause ?? 'an unexpected error: see the log of the server';
      void reply.code(503).send({ message } satisfies PutBackAnswer);
    }
    await reply;
  };
  app.route({ method: 'POST', url: PUT_BACK_PATH, handler });
  app.get(MISSING_PATH, async (request, reply) => {
    if (!addresses.clientOf(request.raw).isLocal) return reply.code(404).send('not found\n');
    if (!isServing()) return { missingHalves: [] } satisfies MissingAnswer;
    const { database } = services();
    await database.checkHalves();
    const failed = database.operationFailed;
    return {
      missingHalves: [...database.missingHalves],
      ...(failed !== undefined && { operationFailed: failed }),
    } satisfies MissingAnswer;
  });
}
