import { ConfigFile } from '../config-file.js';
import { defineCommand } from './command.js';

export const unregister = defineCommand({
  usage: 'unregister',
  summary: 'Forget the server and its token; on the server the token stays valid',
  positionals: {},
  options: {},
  examples: [
    ['$0 unregister', 'to end the token too, first find it with token.getAll: see token.deleteOwn'],
  ],
  run: async (_args, context) => {
    const configFile = new ConfigFile(context.environment.configHome);
    const { server: _server, token: _token, ...kept } = await configFile.read();
    await configFile.write(kept);
  },
});
