/**
 * Whether a history is linearisable: whether all that clients were told could have been told by one thing that does one
 * operation after the other, each at an instant between its call and its answer (Herlihy and Wing, 1990). The search is
 * that of Wing and Gong with Lowe's memory of places already seen, as the checker Porcupine does it.
 */

/** One call of a client. Times count up, and no two are equal. */
export interface HistoryOperation<Input, Output> {
  readonly input: Input;
  /** What the client was told; `undefined` when it was told nothing, or nothing certain: it may have happened, or not. */
  readonly output: Output | undefined;
  readonly calledAt: number;
  /** `Infinity` where there is no output: an effect may come at any time. */
  readonly answeredAt: number;
}

/** The thing that the history is compared with. */
export interface SequentialModel<State, Input, Output> {
  readonly initial: State;
  /** @returns the state after it; `undefined` when that output cannot come of this state. With no output: whatever it does there. */
  step(state: State, input: Input, output: Output | undefined): State | undefined;
  /** Equal for equal states. */
  keyOf(state: State): string;
}

/** @returns an order that explains the history, as indexes into it; `undefined` when there is none */
export function linearise<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  history: readonly HistoryOperation<Input, Output>[],
): number[] | undefined {
  const certain = history.filter(({ output }) => output !== undefined).length;
  const isDone = history.map(() => false);
  const order: number[] = [];
  const seen = new Set<string>();

  const search = (state: State, left: number): boolean => {
    if (left === 0) return true;
    const place = `${isDone.map(Number).join('')} ${model.keyOf(state)}`;
    if (seen.has(place)) return false;
    seen.add(place);
    // Whoever was answered before another one called came before it.
    const firstAnswer = Math.min(
      ...history.flatMap(({ answeredAt }, n) => (isDone[n] === true ? [] : [answeredAt])),
    );
    for (const [n, { input, output, calledAt }] of history.entries()) {
      if (isDone[n] === true || calledAt > firstAnswer) continue;
      const next = model.step(state, input, output);
      if (next === undefined) continue;
      isDone[n] = true;
      order.push(n);
      if (search(next, output === undefined ? left : left - 1)) return true;
      order.pop();
      isDone[n] = false;
    }
    return false;
  };
  return search(model.initial, certain) ? order : undefined;
}
