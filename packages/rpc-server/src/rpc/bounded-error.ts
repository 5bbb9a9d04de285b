/**
 * Errors hold pieces of what was sent: an id, a name, a path. None of them is answered at length, so
 * that no small question has a large answer.
 */
import type { Json } from '../protocol.js';
import type { ErrorAnswer } from './error-answer.js';

/** Longest text of an error, in UTF-16 units. */
const TEXT_MAX = 1000;
const ITEMS_MAX = 16;
const MEMBERS_MAX = 32;
const DEPTH_MAX = 6;

function boundedText(text: string): string {
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)}…`;
}

function bounded(value: Json, depth: number): Json {
  if (typeof value === 'string') return boundedText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === DEPTH_MAX) return null;
  if (Array.isArray(value)) {
    return (value as readonly Json[]).slice(0, ITEMS_MAX).map((item) => bounded(item, depth + 1));
  }
  const members = Object.entries(value).slice(0, MEMBERS_MAX);
  return Object.fromEntries(
    members.map(([name, member]) => [
      boundedText(name),
      member === undefined ? undefined : bounded(member, depth + 1),
    ]),
  );
}

/** The same error, cut where it is long. */
export function boundedError({ code, message, data }: ErrorAnswer): ErrorAnswer {
  const short = { code, message: boundedText(message) };
  return data === undefined ? short : { ...short, data: bounded(data, 0) };
}
