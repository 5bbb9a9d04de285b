import { once } from 'node:events';
import { open } from 'node:fs/promises';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FileUnusableError, systemErrorCode } from '../errors.js';
import {
  openExchange,
  readableBody,
  readText,
  refuseUnlessOk,
  throwIfRpcError,
  transferError,
  type ExchangeOptions,
} from './http-exchange.js';

export interface UploadOptions extends ExchangeOptions {
  /** Called with bytes so far; `totalBytes` 0: not known. */
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

/** What is sent, with its length where that is known. */
export interface UploadSource {
  readonly stream: Readable;
  /** `undefined`: sent in chunks, until the stream ends. */
  readonly lengthBytes: number | undefined;
}

const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * @param path of a file, or `-` for standard input.
 * @throws FileUnusableError when there is none, or it cannot be read.
 */
export async function openUploadSource(path: string, input: Readable): Promise<UploadSource> {
  if (path === '-') return { stream: input, lengthBytes: undefined };
  try {
    const file = await open(path, 'r');
    const found = await file.stat();
    if (found.isDirectory()) {
      await file.close();
      throw new FileUnusableError(`${path} is a folder`);
    }
    return {
      stream: file.createReadStream(),
      lengthBytes: found.isFile() ? found.size : undefined,
    };
  } catch (error) {
    if (error instanceof FileUnusableError) throw error;
    const reason = systemErrorCode(error) ?? 'unexpected error';
    throw new FileUnusableError(`${path} cannot be read (${reason})`, { cause: error });
  }
}

/**
 * Posts the raw bytes to a one-time URL.
 *
 * @returns what the server answered: parsed where it is JSON, else its text.
 * @throws TransferFailedError; CallRefusedError; InterruptedError.
 */
export async function upload(
  url: URL,
  source: UploadSource,
  options: UploadOptions,
): Promise<unknown> {
  const headers: Record<string, string> = { connection: 'close' };
  if (source.lengthBytes !== undefined) headers['content-length'] = String(source.lengthBytes);
  try {
    const request = openExchange('POST', url, headers, options);
    const response = await send(request, source, options.onProgress);
    await refuseUnlessOk(response);
    const body = await readText(response, MAX_ANSWER_BYTES);
    throwIfRpcError(body);
    return readableBody(body);
  } catch (error) {
    throw transferError('the upload', error, options.signal);
  } finally {
    source.stream.destroy();
  }
}

/** A server that refuses answers before it has read all: its answer counts, not the broken pipe. */
async function send(
  request: ClientRequest,
  source: UploadSource,
  onProgress: UploadOptions['onProgress'],
): Promise<IncomingMessage> {
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  const sent = pipeline(source.stream, meter(source.lengthBytes ?? 0, onProgress), request);
  const [response] = await Promise.race([answered, sent.then(() => answered)]);
  return response;
}

function meter(totalBytes: number, onProgress: UploadOptions['onProgress']): Transform {
  let doneBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      doneBytes += chunk.length;
      onProgress(doneBytes, totalBytes);
      done(null, chunk);
    },
  });
}
