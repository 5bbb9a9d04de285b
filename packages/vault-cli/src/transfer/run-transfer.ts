import type { Readable, Writable } from 'node:stream';
import type { CliContext } from '../cli-context.js';
import { UsageError } from '../errors.js';
import type { ProgressBar } from '../output/progress-bar.js';
import type { ServerAddress } from '../server-address.js';
import { download } from './download.js';
import { openUploadSource, upload } from './upload.js';

/** A one-time URL instead of a result. */
export interface TransferOffer {
  readonly direction: 'download' | 'upload';
  /** Absolute path, or a whole URL. */
  readonly path: string;
}

const DIRECTIONS = { $getFrom: 'download', $sendTo: 'upload' } as const;

/** `{"$getFrom": path}` and `{"$sendTo": path}`, alone; anything else is data. */
export function transferOffer(result: unknown): TransferOffer | undefined {
  if (typeof result !== 'object' || result === null) return undefined;
  const entries: [string, unknown][] = Object.entries(result);
  const [name, path] = entries[0] ?? ['', undefined];
  if (entries.length !== 1 || typeof path !== 'string') return undefined;
  return name === '$getFrom' || name === '$sendTo'
    ? { direction: DIRECTIONS[name], path }
    : undefined;
}

export interface TransferOptions {
  /** For messages. */
  readonly method: string;
  /** From `@=path`. */
  readonly path: string | undefined;
  /** Of the server: what a path that it offers is relative to. */
  readonly address: ServerAddress;
  readonly allowUnauthorized: boolean;
  readonly mayOverwrite: boolean;
  /** The parameter that took all of standard input: an upload from there would be empty. */
  readonly inputName: string | undefined;
  /** Shared with the notifications of the server, which tells how far an import is. */
  readonly bar: ProgressBar;
}

/**
 * Moves the file that the server offered or asked for, with a progress bar.
 *
 * @returns what the server answered to an upload; `undefined` for a download.
 */
export async function runTransfer(
  offer: TransferOffer,
  options: TransferOptions,
  context: CliContext,
): Promise<unknown> {
  const { path } = options;
  if (path === undefined) {
    throw new UsageError(
      `${options.method} is a${offer.direction === 'upload' ? 'n' : ''} ${offer.direction}: name the file`,
      `add @=<path>, or @=- for standard ${offer.direction === 'upload' ? 'input' : 'output'}`,
    );
  }
  if (offer.direction === 'upload' && path === '-' && options.inputName !== undefined) {
    throw new UsageError(
      `standard input went to ${options.inputName} as a whole: there is nothing left to upload`,
      `nothing was sent: give the file as @=<path>, or ${options.inputName}=@<file>`,
    );
  }
  const { transferBaseUrl, socketPath } = options.address;
  const url = new URL(offer.path, transferBaseUrl);
  // A whole URL may lead elsewhere.
  const isSame = url.origin === new URL(transferBaseUrl).origin;
  const exchange = {
    socketPath: isSame ? socketPath : undefined,
    allowUnauthorized: options.allowUnauthorized,
    signal: context.signal,
    onProgress: (done: number, total: number) =>
      options.bar.show({ label: offer.direction, done, total, unit: 'bytes' }),
  };
  try {
    if (offer.direction === 'upload') {
      const source = await openUploadSource(path, context.stdin as Readable);
      return await upload(url, source, exchange);
    }
    const output = context.stdout as Writable;
    await download(url, { ...exchange, path, mayOverwrite: options.mayOverwrite, output });
    return undefined;
  } finally {
    options.bar.stop();
  }
}
