/** What waits, in a line for each who brought it; the lines take turns. */
export class LinesInTurn<Item> {
  /** In the order of their turns; none is empty. */
  readonly #lines = new Map<string, Item[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(key: string, item: Item): void {
    const line = this.#lines.get(key);
    if (line === undefined) this.#lines.set(key, [item]);
    else line.push(item);
    this.#size += 1;
  }

  some(isMeant: (key: string) => boolean): boolean {
    for (const key of this.#lines.keys()) if (isMeant(key)) return true;
    return false;
  }

  /** The first of the line whose turn it is, of those that are meant; its line goes to the end of the turns. */
  take(
    isMeant: (key: string) => boolean = () => true,
  ): { readonly key: string; readonly item: Item } | undefined {
    for (const [key, line] of this.#lines) {
      if (!isMeant(key)) continue;
      const item = line.shift() as Item;
      this.#size -= 1;
      this.#lines.delete(key);
      if (line.length > 0) this.#lines.set(key, line);
      return { key, item };
    }
    return undefined;
  }
}
