import { CallRefusedError, CliError } from './errors.js';
import { serverErrorRow } from './exit-status.js';
import { terminalText } from './output/terminal-text.js';

/** Invalid parameters: `data.errors` has one item a problem. */
const INVALID_PARAMETERS = 10;

/**
 * What a person sees of an error on standard error: `✖` and the message, one line a problem, and what to
 * do. A stack only when debugging.
 */
export function reportError(error: unknown, options: { readonly isDebug: boolean }): string {
  const lines = [`✖ ${messageOf(error)}`, ...problemsOf(error).map((problem) => `  ${problem}`)];
  const advice = adviceOf(error);
  if (advice !== undefined) lines.push(`  → ${advice}`);
  if (options.isDebug) lines.push(...stacksOf(error));
  else if (!(error instanceof CliError)) {
    lines.push('  → this is a defect of vault-cli: DEBUG=vault-cli shows where');
  }
  return `${lines.map(terminalText).join('\n')}\n`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unexpected error';
}

function adviceOf(error: unknown): string | undefined {
  if (error instanceof CallRefusedError) return serverErrorRow(error.rpcCode)?.advice;
  return error instanceof CliError ? error.advice : undefined;
}

/** `property @./id: must be string`, as xo-cli writes it, with the name of a property that is too much. */
function problemsOf(error: unknown): string[] {
  if (!(error instanceof CallRefusedError)) return [];
  if (error.rpcCode !== INVALID_PARAMETERS) return reasonOf(error);
  const errors = propertyOf(error.data, 'errors');
  if (!Array.isArray(errors)) return [];
  return errors.map((item: unknown) => {
    const path = textOf(propertyOf(item, 'instancePath'));
    const surplus = textOf(propertyOf(propertyOf(item, 'params'), 'additionalProperty'));
    const message = textOf(propertyOf(item, 'message'));
    return `property @${path === '' ? '' : `.${path}`}: ${message}${surplus === '' ? '' : ` ("${surplus}")`}`;
  });
}

/** The reason that some errors carry: why a server is degraded. Some say it in their message already. */
function reasonOf({ data, message }: CallRefusedError): string[] {
  const reason = propertyOf(data, 'reason');
  return typeof reason === 'string' && !message.includes(reason) ? [`reason: ${reason}`] : [];
}

/** With the causes: a TLS or system error is below the sentence that explains it. */
function stacksOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  return [error.stack ?? error.message, ...stacksOf(error.cause)];
}

function propertyOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
