import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const DOCUMENT = join(import.meta.dirname, '../../docs/redis.md');

/** The words of `ACL SETUSER vault …` as docs/redis.md has them, with another password. */
export function documentedAcl(password: string): readonly string[] {
  const [, line] = /^ACL SETUSER vault (.*)$/m.exec(readFileSync(DOCUMENT, 'utf8')) ?? [];
  if (line === undefined) throw new Error('docs/redis.md has no ACL SETUSER line');
  return line.replace('>password', `>${password}`).split(' ');
}

/** What the document adds for a cluster. */
export function documentedClusterAcl(): readonly string[] {
  const [, words] = /for a cluster `([^`]*)`/.exec(readFileSync(DOCUMENT, 'utf8')) ?? [];
  if (words === undefined) throw new Error('docs/redis.md says nothing of ACLs of a cluster');
  return words.split(' ');
}
