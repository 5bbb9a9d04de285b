/** Asks the server of a configuration how it is, and believes only the one that runs on the same data folder. */
import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { formatListen, parseListen } from '../config/listen-address.js';
import type { ServerConfig } from '../config/load-config.js';
import { InstanceIdentity, newChallenge, PROOF_HEADER } from '../instance-identity.js';

/** The `mode` of a server that does not run, or listens elsewhere: the port of its command line is written nowhere. */
export const NO_ANSWER = 'no answer';
/** Something answers, and it is not the server of this data folder. */
export const ANOTHER_SERVER = 'another server';

/** A server on this machine answers at once, or is in trouble. */
const ANSWER_LIMIT_MS = 3000;
const ANSWER_MAX_BYTES = 65_536;

export interface ServerAnswer {
  readonly url: string;
  readonly mode: string;
  readonly reason?: string;
  /** Degraded, and trying again by itself. */
  readonly retrying?: boolean;
  /** What it serves. */
  readonly databaseId?: string;
}

export async function askServer({ settings }: ServerConfig): Promise<ServerAnswer> {
  const listen = parseListen(settings['http.listen']);
  const isTls = settings['http.cert'] !== undefined;
  const host = listen === undefined || isAnyAddress(listen.host) ? '127.0.0.1' : listen.host;
  const url = `${isTls ? 'https' : 'http'}://${formatListen({ host, port: listen?.port ?? 0 })}`;
  const identity = await InstanceIdentity.read(settings.datadir).catch(() => undefined);
  const challenge = newChallenge();
  let answer: Answer;
  try {
    answer = await get(`${url}/readyz?challenge=${challenge}`);
  } catch {
    return { url, mode: NO_ANSWER };
  }
  const isOurs = identity?.isProof(answer.proof, challenge, answer.body) ?? false;
  return isOurs ? { url, ...wordsOf(answer.body) } : { url, mode: ANOTHER_SERVER };
}

/** Whether what it serves is not the database that the configuration names by now. */
export function servesAnother(
  { databaseId }: ServerAnswer,
  database: { readonly databaseId: string } | undefined,
): boolean {
  return databaseId !== undefined && database !== undefined && databaseId !== database.databaseId;
}

function wordsOf(body: string): Omit<ServerAnswer, 'url'> {
  const { mode, reason, retrying, databaseId } = JSON.parse(body) as Readonly<
    Record<string, unknown>
  >;
  return {
    mode: typeof mode === 'string' ? mode : 'unknown',
    ...(typeof reason === 'string' && { reason }),
    ...(retrying === true && { retrying }),
    ...(typeof databaseId === 'string' && { databaseId }),
  };
}

interface Answer {
  readonly body: string;
  readonly proof: string | undefined;
}

/** The proof says who answers, and nothing secret is asked: a certificate need not be one that this program trusts. */
function get(url: string): Promise<Answer> {
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:')
      ? requestTls(url, { signal, rejectUnauthorized: false })
      : requestPlain(url, { signal });
    request.on('error', reject);
    request.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('error', reject);
      response.on('data', (text: string) => {
        body += text;
        if (body.length > ANSWER_MAX_BYTES) request.destroy(new Error('the answer is too long'));
      });
      response.on('end', () => {
        const proof = response.headers[PROOF_HEADER];
        resolve({ body, proof: typeof proof === 'string' ? proof : undefined });
      });
    });
    request.end();
  });
}

function isAnyAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
