import { call } from './commands/call.js';
import type { Command } from './commands/command.js';
import { completion } from './commands/completion.js';
import { createTokenCommand } from './commands/create-token.js';
import { listCommands } from './commands/list-commands.js';
import { listObjects } from './commands/list-objects.js';
import { register } from './commands/register.js';
import { unregister } from './commands/unregister.js';
import { watch } from './commands/watch.js';

/** Every command, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  register,
  createTokenCommand,
  unregister,
  listCommands,
  listObjects,
  watch,
  call,
  completion,
];
