/** Every command of `vault-server`, in the order of `--help`. */
import type { Command } from './command.js';
import { INIT } from './init.js';
import { SETTINGS_COMMAND } from './settings.js';
import { START } from './start.js';
import { STATUS } from './status.js';
import { VERIFY } from './verify.js';

export const COMMANDS: readonly Command[] = [START, INIT, STATUS, VERIFY, SETTINGS_COMMAND];
