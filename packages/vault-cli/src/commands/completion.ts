import yargs from 'yargs';
import { defineCommand } from './command.js';

export const completion = defineCommand({
  usage: 'completion',
  summary: 'Print the completion script for your shell (bash, zsh or fish, from $SHELL)',
  positionals: {},
  options: {},
  examples: [
    ['$0 completion >> ~/.bashrc', 'also ~/.zshrc'],
    ['$0 completion > ~/.config/fish/completions/vault-cli.fish', ''],
  ],
  run: async (_args, context) => {
    // A parser that knows nothing else: beside a default command yargs would run that as well.
    const parser = yargs().scriptName('vault-cli').completion('completion', false);
    await parser.exitProcess(false).parseAsync(['completion'], {}, (_error, _argv, script) => {
      if (script !== '') context.stdout.write(`${withoutSpaceAfterName(script)}\n`);
    });
  },
});

/** bash puts a space behind what it completes; behind `host=` the value follows. */
function withoutSpaceAfterName(script: string): string {
  return script.replace(
    '    return 0\n',
    '    [[ "${COMPREPLY[0]}" == *= ]] && compopt -o nospace 2>/dev/null\n    return 0\n',
  );
}
