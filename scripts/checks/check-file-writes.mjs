// Files are written by one writer (packages/crypto/src/files): no other source imports what makes, writes or renames a file.
import { readFileSync } from 'node:fs';
import { listSources, report } from './source-files.mjs';

const WRITER = 'packages/crypto/src/files/';
/** The client depends on no package of the server; it writes its configuration, and downloads. */
const CLIENT = ['packages/vault-cli/src/config-file.ts', 'packages/vault-cli/src/transfer/'];
/** One that is moved as it is; and one whose own name is a random one with the mark of its process. */
const EXCEPTIONS = {
  'packages/redis-store/src/import/import-spool.ts': ['open'],
  'packages/redis-store/src/state/witness.ts': ['rename'],
};
const WRITING =
  /^(?:appendFile|copyFile|createWriteStream|link|rename|symlink|writeFile)(?:Sync)?$/;
const FS_IMPORT = /import (?:type )?\{([^}]*)\} from 'node:fs(?:\/promises)?'/g;
const OPENED_TO_WRITE = /\bopen(?:Sync)?\([^;]*?,\s*'(?:w|a|r\+|ax|as|wx)\+?'/;

const problems = [];
const sources = listSources().filter(
  (path) => !path.startsWith(WRITER) && !CLIENT.some((own) => path.startsWith(own)),
);
for (const path of sources) {
  const text = readFileSync(path, 'utf8');
  for (const [, list] of text.matchAll(FS_IMPORT)) {
    const names = list.split(',').map((name) => name.trim().split(' ')[0]);
    for (const name of names.filter((each) => WRITING.test(each))) {
      if (EXCEPTIONS[path]?.includes(name)) continue;
      problems.push(`${path}: ${name} of node:fs; write by NewFile, replaceFile or createFile`);
    }
  }
  if (OPENED_TO_WRITE.test(text) && !EXCEPTIONS[path]?.includes('open')) {
    problems.push(`${path}: opens a file to write; use NewFile, replaceFile or createFile`);
  }
}
report(`writing of files in ${sources.length} files`, problems);
