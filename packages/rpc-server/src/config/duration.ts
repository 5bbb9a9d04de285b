/** Durations as operators write them: the strings of the package `ms`. */
import ms from 'ms';

/** `ms` throws on longer texts. */
const DURATION_CHARACTERS_MAX = 100;

const UNITS_MS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** Reads `"90d"`, `"2s"`, `"30 min"`. @returns milliseconds, or `undefined` when the text is none */
export function parseDuration(text: string): number | undefined {
  if (text === '' || text.length > DURATION_CHARACTERS_MAX) return undefined;
  const value = (ms as (text: string) => number | undefined)(text);
  return value === undefined || !Number.isFinite(value) || value < 0
    ? undefined
    : Math.round(value);
}

/** The shortest text that {@link parseDuration} reads back as exactly this many milliseconds. */
export function formatDuration(valueMs: number): string {
  const texts = UNITS_MS.filter(([, unitMs]) => valueMs >= unitMs)
    .map(([unit, unitMs]) => `${valueMs / unitMs}${unit}`)
    .filter((text) => parseDuration(text) === valueMs);
  return texts.reduce((a, b) => (b.length < a.length ? b : a), `${valueMs}ms`);
}
