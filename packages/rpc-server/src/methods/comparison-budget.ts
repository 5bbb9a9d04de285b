/**
 * What a filter may cost. Whoever is signed in sends one, and it is compared with every object there
 * is: without a bound one call of 2 MiB keeps everybody waiting for many seconds.
 */
import { invalidParameters } from '../rpc/api-error.js';

/** Steps that one object may take: at most about 0.1 s of the processor. One object looked for among all that a record of 1 MiB can hold takes less. */
export const STEPS_MAX = 400_000;
/** Steps that each object adds to what is left: about what it takes to read and to open one. */
export const STEPS_PER_OBJECT = 250;
/** Characters that are made lower case in one step, and those that are searched in one. */
const LOWERED_PER_STEP = 16;
const SEARCHED_PER_STEP = 128;

/** Of one call: {@link STEPS_MAX}, and {@link STEPS_PER_OBJECT} for each object. */
export class ComparisonBudget {
  #left = STEPS_MAX;

  /** Another object is looked at. */
  nextObject(): void {
    this.#left = Math.min(STEPS_MAX, this.#left + STEPS_PER_OBJECT);
  }

  /** @throws {ApiError} INVALID_PARAMETERS when no more are left */
  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left >= 0) return;
    throw invalidParameters(
      [],
      'the filter takes too many comparisons: look for fewer objects in arrays, or for fewer words, each in a named property',
    );
  }

  /** The text in lower case. */
  lower(text: string): string {
    this.spend(1 + text.length / LOWERED_PER_STEP);
    return text.toLowerCase();
  }

  /** Whether the word is in the text. */
  isIn(text: string, word: string): boolean {
    this.spend(1 + text.length / SEARCHED_PER_STEP);
    return text.includes(word);
  }
}
