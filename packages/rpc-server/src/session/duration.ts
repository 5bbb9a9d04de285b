/** Durations as clients write them: milliseconds, or what the npm package `ms` reads (`2 days`, `1h`). */
import ms from 'ms';
import type { StringValue } from 'ms';

/** `ms` refuses longer texts itself, by throwing. */
const TEXT_MAX = 100;

/** @returns milliseconds, `undefined` when it is no duration */
export function parseDurationMs(value: string | number): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (value === '' || value.length > TEXT_MAX) return undefined;
  // The type lists the spellings; at run time any other text gives undefined.
  const parsed: number | undefined = ms(value as StringValue);
  return parsed === undefined || Number.isNaN(parsed) ? undefined : parsed;
}
