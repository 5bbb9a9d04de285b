/** What key material prints as, everywhere. */
export const REDACTED = '[redacted]';
