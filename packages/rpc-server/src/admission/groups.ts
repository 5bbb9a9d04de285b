/** Members by what they have in common, in order of age. */

export class Groups<Member extends object> {
  readonly #groups = new Map<string, Set<Member>>();

  add(key: string, member: Member): void {
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, new Set([member]));
    else group.add(member);
  }

  delete(key: string, member: Member): void {
    const group = this.#groups.get(key);
    if (group?.delete(member) === true && group.size === 0) this.#groups.delete(key);
  }

  get(key: string): ReadonlySet<Member> {
    return this.#groups.get(key) ?? new Set();
  }

  /** The one with the most members; of equals the first. */
  largest(): ReadonlySet<Member> {
    let largest: ReadonlySet<Member> = new Set();
    for (const group of this.#groups.values()) if (group.size > largest.size) largest = group;
    return largest;
  }
}
