/** Names that every JavaScript object answers to: an object keyed by one of them is not what it seems. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set([
  '__proto__',
  'constructor',
  'prototype',
]);
