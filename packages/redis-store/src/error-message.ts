/** What an error of any origin says. Structural, since errors of Node's own modules may come from another realm. */
function has<Name extends string>(error: unknown, name: Name): error is Record<Name, unknown> {
  return typeof error === 'object' && error !== null && name in error;
}

/** Its message; one of the file system names path and code, and no content. */
export function messageOf(error: unknown): string {
  return has(error, 'message') && typeof error.message === 'string' ? error.message : 'unknown';
}

/** Whether a file is not there. */
export function isMissingFile(error: unknown): boolean {
  return has(error, 'code') && error.code === 'ENOENT';
}
