/**
 * Files in and out by one-time URLs: `/api/<43 characters>`, whose 32 random bytes are the only
 * credential. Dropped by the first request, whatever its method, or after some minutes.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Transform } from 'node:stream';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { callbackify } from 'node:util';
import type { StoreLogger } from '@vault/redis-store';
import { mostCommon } from '../admission/most-common.js';
import { apiErrorOf, answerOf } from '../rpc/error-answer.js';
import { ApiError } from '../rpc/api-error.js';
import type { Limits } from '../limits.js';
import { API_PATH } from '../protocol.js';
import type { DownloadOffer, ErrorName, UploadOffer } from '../protocol.js';
import { OwnerWatch } from './owner-watch.js';

const SECRET_BYTES = 32;
/** How long a refused upload may go on sending before it is cut: a client that is cut at once may not read why. */
const DRAIN_MS = 2000;

export interface Download {
  readonly fileName: string;
  readonly contentType: string;
  /** Called once, when the URL is used. */
  open(): Readable | Promise<Readable>;
}

export interface Upload {
  /**
   * Called once, when the URL is used.
   * @param assertStill whether the owner still may: asked before what cannot be taken back
   * @returns what the client is shown: a text, or the result of a JSON-RPC answer
   */
  receive(body: Readable, assertStill: () => Promise<void>): Promise<string | object>;
}

/** Who asked for a transfer. */
export interface TransferOwner {
  readonly userId: string;
  /** The token that it was asked for with; `undefined` of a session by password. */
  readonly tokenId: string | undefined;
  /** Whether they may still do it: asked when it begins, while it runs, and before its end. @throws {ApiError} UNAUTHORIZED */
  readonly check: () => Promise<void>;
  /** Told where they lost the right while it ran, and it was ended for that. */
  readonly onLost?: () => void;
}

type Run = (request: IncomingMessage, response: ServerResponse, owner: OwnerWatch) => Promise<void>;

interface Offer {
  readonly kind: 'download' | 'upload';
  readonly owner: TransferOwner;
  readonly run: Run;
  readonly timer: NodeJS.Timeout;
}

export interface TransfersOptions {
  readonly limits: Limits;
  readonly logger: StoreLogger;
}

const METHOD_OF = { download: 'GET', upload: 'POST' } as const;

/** HTTP status of a transfer that failed, by the name of its error; any other is 400. */
const STATUS_OF: Partial<Record<ErrorName, number>> = {
  RESULT_TOO_LARGE: 413,
  UNAUTHORIZED: 403,
  SERVICE_UNAVAILABLE: 503,
  DEGRADED: 503,
  STARTING: 503,
};

/** Of a user's places a token takes at most half: who stole one leaves its owner the others. */
const TOKEN_SHARE = 2;

function statusOf(error: ApiError | undefined): number {
  return error === undefined ? 500 : (STATUS_OF[error.code] ?? 400);
}

export class Transfers {
  /** Those that wait, in order of age. */
  readonly #offers = new Map<string, Offer>();
  /** Those that run. */
  readonly #running = new Set<TransferOwner>();
  readonly #options: TransfersOptions;

  constructor(options: TransfersOptions) {
    this.#options = options;
  }

  /** URLs that nobody used yet. */
  get waiting(): number {
    return this.#offers.size;
  }

  /** Whether that path was offered for an upload, and not used. */
  awaitsUpload(path: string): boolean {
    return (
      path.startsWith(API_PATH) && this.#offers.get(path.slice(API_PATH.length))?.kind === 'upload'
    );
  }

  /**
   * For one too many of a user the oldest that waits is forgotten, whose URL was not used: of the
   * credential with most of them.
   */
  offerDownload(download: Download, owner: TransferOwner): DownloadOffer {
    const run: Run = (_, to, watch) => this.#send(download, to, watch);
    return { $getFrom: this.#offer('download', owner, run) };
  }

  /** As {@link offerDownload} */
  offerUpload(upload: Upload, owner: TransferOwner): UploadOffer {
    const run: Run = (from, to, watch) => this.#receive(upload, from, to, watch);
    return { $sendTo: this.#offer('upload', owner, run) };
  }

  /** Forgets every offer: what they would read or change is not served any more. */
  clear(): void {
    for (const { timer } of this.#offers.values()) clearTimeout(timer);
    this.#offers.clear();
  }

  /**
   * Serves one request below `/api/`. Never rejects.
   * @param protect keeps the connection while a transfer runs on it; gives how to end that
   */
  async handle(
    request: IncomingMessage,
    response: ServerResponse,
    protect: () => () => void = () => () => undefined,
  ): Promise<void> {
    const secret = (request.url ?? '').slice(API_PATH.length);
    const offer = this.#offers.get(secret);
    response.setHeader('Cache-Control', 'no-store');
    if (offer === undefined) {
      await answerText(
        request,
        response,
        404,
        'no such transfer: the URL was used or is too old\n',
      );
      return;
    }
    this.#offers.delete(secret);
    clearTimeout(offer.timer);
    const method = METHOD_OF[offer.kind];
    if (request.method !== method) {
      response.setHeader('Allow', method);
      await answerText(request, response, 405, `this URL was for ${method}; it is used up now\n`);
      return;
    }
    const end = protect();
    try {
      await this.#run(offer, request, response);
    } catch (error) {
      await this.#fail(offer.kind, request, response, error);
    } finally {
      end();
    }
  }

  async #run(offer: Offer, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { owner } = offer;
    const { check, onLost } = owner;
    const { rightsRecheckMs } = this.#options.limits;
    this.#assertRoom(owner);
    this.#running.add(owner);
    const watch = new OwnerWatch(check, rightsRecheckMs);
    try {
      await watch.assertStill();
      await offer.run(request, response, watch);
    } catch (error) {
      if (watch.lost === undefined) throw error;
      onLost?.();
      throw watch.lost;
    } finally {
      watch.stop();
      this.#running.delete(owner);
    }
  }

  /** @throws {ApiError} SERVICE_UNAVAILABLE */
  #assertRoom({ userId, tokenId }: TransferOwner): void {
    const { transfersRunningPerUser } = this.#options.limits;
    const ofUser = [...this.#running].filter((each) => each.userId === userId);
    const ofToken = ofUser.filter((each) => each.tokenId === tokenId);
    const tokenMax = Math.max(1, Math.floor(transfersRunningPerUser / TOKEN_SHARE));
    const isTokenFull = tokenId !== undefined && ofToken.length >= tokenMax;
    if (!isTokenFull && ofUser.length < transfersRunningPerUser) return;
    throw new ApiError(
      'SERVICE_UNAVAILABLE',
      `a user has at most ${transfersRunningPerUser} transfers that run, and a token ${tokenMax} of them: limits.transfersRunningPerUser`,
      { serviceName: 'transfers' },
    );
  }

  #offer(kind: Offer['kind'], owner: TransferOwner, run: Offer['run']): string {
    const { transferLifetimeMs } = this.#options.limits;
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    const timer = setTimeout(() => this.#offers.delete(secret), transferLifetimeMs);
    timer.unref();
    this.#offers.set(secret, { kind, owner, run, timer });
    this.#makeRoom(owner);
    return `${API_PATH}${secret}`;
  }

  /** Offers that nobody used give way: of the same user, else of the user who has most. */
  #makeRoom(newest: TransferOwner): void {
    const { transfersPerUser, transfersOpen } = this.#options.limits;
    const own = this.#offersOf(newest);
    if (own.length > transfersPerUser) this.#forgetOldest(own);
    if (this.#offers.size <= transfersOpen) return;
    const [most] = mostCommon(this.#offers.values(), ({ owner }) => owner.userId);
    if (most !== undefined) this.#forgetOldest(this.#offersOf(most.owner));
  }

  #offersOf({ userId }: TransferOwner): readonly (readonly [string, Offer])[] {
    return [...this.#offers].filter(([, { owner }]) => owner.userId === userId);
  }

  /** Of a user: those of the credential that has most give way. */
  #forgetOldest(ofUser: readonly (readonly [string, Offer])[]): void {
    const [oldest] = mostCommon(ofUser, ([, { owner }]) => owner.tokenId);
    if (oldest === undefined) return;
    const [secret, { timer }] = oldest;
    clearTimeout(timer);
    this.#offers.delete(secret);
  }

  async #send(download: Download, response: ServerResponse, owner: OwnerWatch): Promise<void> {
    const opened = Promise.resolve(download.open());
    const stream = await owner.orLost(opened, (late) => late.destroy());
    response.setHeader('Content-Type', download.contentType);
    response.setHeader('Content-Disposition', `attachment; filename="${download.fileName}"`);
    // No Content-Length, so chunked: a stream that fails half way ends without the last chunk, and
    // the client sees that the file is not whole. No `Connection: close` either: with it, fetch of
    // Node 20 takes the end of the connection for the end of the file.
    const unread = cutWhenUnread(response, this.#options.limits.unreadAnswerMs);
    try {
      const last = passOn({ atEnd: () => owner.assertStill() });
      await pipeline(stream, last, response, { signal: owner.signal });
    } finally {
      clearInterval(unread);
    }
  }

  async #receive(
    upload: Upload,
    request: IncomingMessage,
    response: ServerResponse,
    owner: OwnerWatch,
  ): Promise<void> {
    const { uploadBytes, uploadDurationMs } = this.#options.limits;
    if (Number(request.headers['content-length'] ?? 0) > uploadBytes) throw tooLarge(uploadBytes);
    const assertStill = (): Promise<void> => owner.assertStill();
    // Whoever reads it never sees the end of an upload whose owner may not any more.
    const counted = passOn({ maxBytes: uploadBytes, atEnd: assertStill });
    owner.signal.addEventListener('abort', () => counted.destroy(owner.lost));
    // The source is not destroyed with the counter, so that the refusal can still be read.
    request.pipe(counted);
    const cutOff = (cause?: Error) =>
      counted.destroy(new Error('the upload was cut off', { cause }));
    request.once('error', cutOff);
    request.once('close', () => {
      if (!request.complete) cutOff();
    });
    const timer = setTimeout(() => counted.destroy(tooSlow(uploadDurationMs)), uploadDurationMs);
    try {
      const shown = await upload.receive(counted, assertStill);
      if (typeof shown === 'string') await answerText(request, response, 200, shown);
      else await answerJson(request, response, 200, { result: shown });
    } finally {
      clearTimeout(timer);
      request.unpipe(counted);
      counted.destroy();
    }
  }

  /** The log has every failure, also one that a client which is gone, or got the beginning of a file, is not told. */
  async #fail(
    kind: Offer['kind'],
    request: IncomingMessage,
    response: ServerResponse,
    error: unknown,
  ): Promise<void> {
    const known = apiErrorOf(error);
    this.#options.logger.error(`${kind} failed`, {
      reason: known?.message ?? 'an unexpected error',
      ...(known === undefined && { cause: error }),
    });
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    response.removeHeader('Content-Disposition');
    const { message, ...answer } = answerOf(error, false);
    const advised = known === undefined ? `${message}: the log of the server says why` : message;
    const body = { error: { ...answer, message: advised } };
    await answerJson(request, response, statusOf(known), body);
  }
}

function answerJson(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: object,
): Promise<void> {
  const text = `${JSON.stringify({ ...body, id: 0, jsonrpc: '2.0' })}\n`;
  return answerText(request, response, status, text, 'application/json');
}

function tooLarge(maxBytes: number): ApiError {
  return new ApiError('RESULT_TOO_LARGE', `an upload has at most ${maxBytes} bytes`);
}

function tooSlow(durationMs: number): ApiError {
  return new ApiError('OPERATION_FAILED', `an upload takes at most ${durationMs} ms`, {
    code: 'UPLOAD_TOO_SLOW',
  });
}

/** Ends a download whose client takes nothing for so long: it holds a reader of Redis and a place. */
function cutWhenUnread(response: ServerResponse, unreadMs: number): NodeJS.Timeout {
  let last = -1;
  const timer = setInterval(() => {
    const { socket } = response;
    if (socket === null) return;
    const taken = socket.bytesWritten - socket.writableLength;
    if (socket.writableLength > 0 && taken === last) response.destroy();
    last = taken;
  }, unreadMs);
  timer.unref();
  return timer;
}

/** Passes bytes on; fails once there are too many, and where `atEnd` fails, which is waited for before the end. */
function passOn({
  maxBytes = Infinity,
  atEnd,
}: {
  readonly maxBytes?: number;
  readonly atEnd: () => Promise<void>;
}): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer | string, _encoding, done) {
      bytes += chunk.length;
      if (bytes > maxBytes) done(tooLarge(maxBytes));
      else done(null, chunk);
    },
    flush: callbackify(atEnd),
  });
}

/** Answers, and lets a client that is still sending finish or time out before the connection ends. */
async function answerText(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  text: string,
  contentType = 'text/plain; charset=utf-8',
): Promise<void> {
  if (response.destroyed) return;
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(text),
    // Clients of xo-cli's kind do not read such answers, and would wait for the connection's end.
    Connection: 'close',
  });
  response.write(text);
  if (!request.readableEnded && !request.destroyed) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_MS);
      for (const event of ['end', 'close', 'error']) {
        request.once(event, () => {
          clearTimeout(timer);
          resolve();
        });
      }
      request.resume();
    });
  }
  response.end();
}
