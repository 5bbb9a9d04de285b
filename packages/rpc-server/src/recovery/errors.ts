/** The errors around recovery kits. No message holds a half, a passphrase or anything of the file. */
export const RECOVERY_KIT_ERRORS = {
  KIT_UNREADABLE:
    'the kit cannot be read: wrong passphrase, or not a whole and unaltered kit; never said which',
  KIT_UNPROVEN: 'what the kit holds does not open the database; nothing was restored',
  KIT_REFUSED: 'a kit cannot be made, written or restored as things are; the message says why',
} as const;

export type RecoveryKitErrorCode = keyof typeof RECOVERY_KIT_ERRORS;

export class RecoveryKitError extends Error {
  readonly code: RecoveryKitErrorCode;

  constructor(code: RecoveryKitErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RecoveryKitError';
    this.code = code;
  }
}
