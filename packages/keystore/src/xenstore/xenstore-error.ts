/** Why XenStore could not be asked, or what it answered instead of a value. */
export const XENSTORE_FAILURES = {
  absent: 'there is no XenStore device or socket',
  denied: 'this user has no permission to open XenStore',
  down: 'the XenStore daemon is down',
  hung: 'the XenStore daemon did not answer in time',
  protocol: 'what answers is not a XenStore',
  refused: 'XenStore answered with an error',
} as const satisfies Record<string, string>;

export type XenstoreFailure = keyof typeof XENSTORE_FAILURES;

export class XenstoreError extends Error {
  readonly code = 'XENSTORE_FAILED';
  readonly failure: XenstoreFailure;
  /** The daemon's errno name (`ENOENT`, `EACCES`, `ENOSPC`, …) when `failure` is `refused`, else ''. */
  readonly errno: string;

  /** @param detail what was tried or met; no stored value */
  constructor(failure: XenstoreFailure, detail: string, errno = '') {
    super(`${XENSTORE_FAILURES[failure]} (${detail})`);
    this.name = new.target.name;
    this.failure = failure;
    this.errno = errno;
  }
}
