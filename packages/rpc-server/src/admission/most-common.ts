/** Who has most. */

/** The members whose key is the most common one, in their order; of several keys where they are as common. */
export function mostCommon<Member>(
  members: Iterable<Member>,
  keyOf: (member: Member) => string | undefined,
): readonly Member[] {
  const all = [...members];
  const counts = new Map<string | undefined, number>();
  for (const member of all) counts.set(keyOf(member), (counts.get(keyOf(member)) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return all.filter((member) => counts.get(keyOf(member)) === most);
}
