/** A migration cannot go on. The message is one sentence for an operator, and holds no stored value. */
export class MigrationError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MigrationError';
  }
}

/** Names in a message, not more than a reader takes in. */
const NAMES_SHOWN = 10;

/** `a, b, c and 5 more` */
export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN).join(', ');
  return names.length > NAMES_SHOWN ? `${shown} and ${names.length - NAMES_SHOWN} more` : shown;
}
