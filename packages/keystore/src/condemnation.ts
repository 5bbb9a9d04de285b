/**
 * The mark of a line that somebody wants to be gone: `:condemned=2026-12-03T10:15:00Z`, when it was
 * set. A condemned line opens as before. In a place that others may share nobody can know that a line
 * is not in use, so it is removed by a second call, some days later, unless its user objected by then
 * by taking the mark away.
 */
const MARK = ':condemned=';
/** `2026-12-03T10:15:00Z`: UTC, to the second. */
const TIME_CHARACTERS = 20;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const MS_PER_SECOND = 1000;

/** Bytes that the mark adds to a line. */
const MARK_BYTES = MARK.length + TIME_CHARACTERS;

/** @param atMs ms since the epoch, years 0 to 9999; rounded down to the second */
export function formatMark(atMs: number): string {
  return `${MARK}${formatTime(atMs)}`;
}

/** @returns when it was condemned, ms since the epoch; `undefined` for what is no mark */
export function parseMark(text: Uint8Array): number | undefined {
  if (text.length !== MARK_BYTES) return undefined;
  const mark = Buffer.from(text).toString('latin1');
  const time = mark.slice(MARK.length);
  if (!mark.startsWith(MARK) || !TIME.test(time)) return undefined;
  const atMs = Date.parse(time);
  // `Date` takes the 31st of February for the 3rd of March.
  return Number.isFinite(atMs) && formatTime(atMs) === time ? atMs : undefined;
}

/**
 * Whether a mark is to be set, taken away or set anew. One of a time that has not come was set by nobody
 * whose clock is right: it would keep the line for ever.
 */
export function isOtherMark(standsMs: number | undefined, wantedMs: number | undefined): boolean {
  if (standsMs === undefined || wantedMs === undefined) return standsMs !== wantedMs;
  return standsMs > wantedMs;
}

function formatTime(atMs: number): string {
  const wholeMs = Math.floor(atMs / MS_PER_SECOND) * MS_PER_SECOND;
  return new Date(wholeMs).toISOString().replace('.000Z', 'Z');
}
