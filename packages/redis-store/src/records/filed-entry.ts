/** One index entry that a record is filed under. `token` is 22 characters of base64url. */
export interface FiledEntry {
  readonly kind: 'exact' | 'unique';
  readonly index: string;
  readonly token: string;
}

function nameOf({ kind, index, token }: FiledEntry): string {
  return `${kind}:${index}:${token}`;
}

/** The entries of `from` that `without` has not. */
export function entriesWithout(
  from: readonly FiledEntry[],
  without: readonly FiledEntry[],
): FiledEntry[] {
  const names = new Set(without.map(nameOf));
  return from.filter((entry) => !names.has(nameOf(entry)));
}
