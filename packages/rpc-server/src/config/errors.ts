/** The errors of reading a configuration. Each says where: the file with its line, or the variable. */
export const CONFIG_ERRORS = {
  CONFIG_NOT_FOUND: 'there is no configuration file: an absent file must not decrypt anything',
  CONFIG_UNREADABLE: 'the configuration file cannot be read',
  CONFIG_SYNTAX: 'the configuration file is not TOML',
  CONFIG_UNKNOWN: 'a setting or section is not one of ours',
  CONFIG_TYPE: 'a setting has a value of the wrong type or out of range',
  CONFIG_CONFLICT: 'two settings contradict each other, or one needs another',
  CONFIG_EXISTS: 'the file that init would write is there already',
} as const;

export type ConfigErrorCode = keyof typeof CONFIG_ERRORS;

export class ConfigError extends Error {
  readonly code: ConfigErrorCode;

  constructor(code: ConfigErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfigError';
    this.code = code;
  }
}

/** A problem of one place in a configuration; the loader adds file and line, or the variable. */
export class SettingProblem extends Error {
  readonly code: ConfigErrorCode;
  /** Keys from the top of the document to the place. */
  readonly path: readonly string[];

  constructor(code: ConfigErrorCode, path: readonly string[], message: string) {
    super(message);
    this.name = 'SettingProblem';
    this.code = code;
    this.path = path;
  }
}
