/** `vault-server settings`: the table of settings, for people without the documents at hand. */
import { tomlDefault } from '../config/config-template.js';
import { environmentName, SETTING_PATHS, settingOf } from '../config/settings.js';
import type { Command } from './command.js';

export const SETTINGS_COMMAND: Command = {
  names: ['settings'],
  summary: 'List every setting with its default, variable and meaning',
  options: {},
  examples: [['$0 settings | grep -A3 redis.', 'What can be set about Redis']],
  run({ writeOut }) {
    for (const path of SETTING_PATHS) {
      const standard = tomlDefault(path);
      const head = standard === undefined ? path : `${path} = ${standard}`;
      writeOut(`${head}\n    ${settingOf(path).doc}\n    ${environmentName(path)}\n\n`);
    }
    return Promise.resolve('ok');
  },
};
