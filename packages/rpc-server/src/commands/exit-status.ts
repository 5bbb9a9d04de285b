/** Exit statuses of `vault-server`: what a script can tell apart. */
export const EXIT_STATUSES = {
  ok: { status: 0, when: 'done; for start: stopped by SIGTERM or SIGINT' },
  failed: {
    status: 1,
    when: 'status: degraded; verify: something is wrong; any command: it failed',
  },
  usage: { status: 2, when: 'the command line or the configuration is wrong: nothing was started' },
} as const satisfies Record<string, { readonly status: number; readonly when: string }>;

export type ExitReason = keyof typeof EXIT_STATUSES;
