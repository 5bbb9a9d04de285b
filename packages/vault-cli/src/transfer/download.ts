import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Transform, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  openExchange,
  refuseUnlessOk,
  transferError,
  type ExchangeOptions,
} from './http-exchange.js';
import { DownloadTarget } from './download-target.js';

export interface DownloadOptions extends ExchangeOptions {
  /** Local path; `-` for {@link output}. */
  readonly path: string;
  /** Replace a file that is there. */
  readonly mayOverwrite: boolean;
  /** Standard output. */
  readonly output: Writable;
  /** Called with bytes so far; `totalBytes` 0: not known. */
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Gets a one-time URL into a file, which appears only when all of it came: a cut connection leaves
 * nothing at the path. Into standard output the bytes go as they come.
 *
 * @throws FileUnusableError before anything is asked of the server; TransferFailedError; CallRefusedError.
 */
export async function download(url: URL, options: DownloadOptions): Promise<void> {
  if (options.path === '-') {
    await receive(url, options, options.output, false);
    return;
  }
  const target = await DownloadTarget.open(options.path, options.mayOverwrite);
  try {
    await receive(url, options, target.stream, true);
    await target.commit();
  } catch (error) {
    await target.discard();
    throw error;
  }
}

async function receive(
  url: URL,
  options: DownloadOptions,
  sink: Writable,
  isEndedAfter: boolean,
): Promise<void> {
  try {
    const request = openExchange('GET', url, { connection: 'close' }, options);
    request.end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await refuseUnlessOk(response);
    await pipeline(response, meter(response, options.onProgress), sink, { end: isEndedAfter });
    // `complete` is false when the connection ended before the announced length or the last chunk.
    if (!response.complete) throw new Error('it was cut off');
  } catch (error) {
    throw transferError('the download', error, options.signal);
  }
}

function meter(response: IncomingMessage, onProgress: DownloadOptions['onProgress']): Transform {
  const announced = Number(response.headers['content-length'] ?? 0);
  const totalBytes = Number.isSafeInteger(announced) ? announced : 0;
  let doneBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      doneBytes += chunk.length;
      onProgress(doneBytes, totalBytes);
      done(null, chunk);
    },
  });
}
