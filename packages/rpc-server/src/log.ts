/**
 * The log of the server: lines on standard error.
 *
 * ```
 * 2026-11-22T06:05:00.123Z vault:crypto-credentials ERROR <message> { backupPath: '…', cause: '…' }
 * ```
 *
 * One event is one line, whatever stands in the message. Callers never pass values of records or
 * secrets; errors among the data are shown by message and code alone, since a stack or a cause may
 * carry arguments.
 */
import { inspect } from 'node:util';
import debug from 'debug';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type LogData = Readonly<Record<string, unknown>>;

/** Writes lines of one namespace. Fits the `StoreLogger` of `@vault/redis-store`. */
export type Logger = Readonly<Record<LogLevel, (message: string, data?: LogData) => void>>;

export interface LogOptions {
  /** Takes whole lines, with the line feed. */
  readonly write: (line: string) => void;
  /** Lines below are dropped; a function is asked at each line. Default `info`. */
  readonly level?: LogLevel | (() => LogLevel);
  /** Namespaces whose debug lines are written at any level, as the package `debug` reads them: `vault:*,-vault:http`. */
  readonly debugNamespaces?: string;
  readonly now?: () => Date;
}

/** The message of lines that say who did what: written at any level, since they are promised. */
export const AUDIT_MESSAGE = 'audit';

/** Enough for a progress or a list of ids; a longer value is cut by `inspect` with a mark. */
const INSPECT_OPTIONS = {
  depth: 4,
  breakLength: Number.POSITIVE_INFINITY,
  compact: true,
  maxArrayLength: 50,
  maxStringLength: 2000,
  sorted: false,
} as const;

/** Makes the loggers of a process: `log('crypto-credentials').error(…)`. */
export function createLog(options: LogOptions): (namespace: string) => Logger {
  const { write, level = 'info', debugNamespaces = '', now = () => new Date() } = options;
  // Only ours: the client library of Redis writes its password to its own debug lines.
  debug.enable(ownNamespaces(debugNamespaces));
  return (name) => {
    const namespace = `vault:${name}`;
    const isDebugged = debugNamespaces !== '' && debug.enabled(namespace);
    const from = (): number =>
      isDebugged ? 0 : LOG_LEVELS.indexOf(typeof level === 'function' ? level() : level);
    const lineOf = (at: LogLevel) => (message: string, data?: LogData) => {
      if (LOG_LEVELS.indexOf(at) < from() && message !== AUDIT_MESSAGE) return;
      const text = `${now().toISOString()} ${namespace} ${at.toUpperCase()} ${oneLine(message)}`;
      write(data === undefined ? `${text}\n` : `${text} ${inspectData(data)}\n`);
    };
    return {
      debug: lineOf('debug'),
      info: lineOf('info'),
      warn: lineOf('warn'),
      error: lineOf('error'),
    };
  };
}

/** What of `DEBUG` names lines of ours; `*` means all of them. */
function ownNamespaces(patterns: string): string {
  const own = patterns.split(/[\s,]+/).flatMap((pattern) => {
    if (pattern === '*') return 'vault:*';
    return /^-?vault/.test(pattern) ? pattern : [];
  });
  return own.join(',');
}

function inspectData(data: LogData): string {
  const shown = Object.entries(data)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key, value instanceof Error ? describeError(value) : value]);
  return oneLine(inspect(Object.fromEntries(shown), INSPECT_OPTIONS));
}

/** Message and code of an error, without stack and cause. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || error.message.includes(code)
    ? error.message
    : `${error.message} (${code})`;
}

/** Control characters would break the line, or write to a terminal: they are shown as escapes. */
function oneLine(text: string): string {
  return text.replaceAll(
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    /[\u0000-\u001F\u007F-\u009F\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
