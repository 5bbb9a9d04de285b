import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Where `scripts/fetch-redis-servers` puts what it could fetch. */
const FETCHED = join(import.meta.dirname, '../../.vault/redis-servers');
const PROGRAMS = ['redis-server', 'valkey-server'];

export interface RedisProgram {
  /** Such as `Redis 8.0.2` or `Valkey 8.1.1`. */
  readonly name: string;
  readonly binary: string;
}

/** The servers of this machine: `redis-server` of the PATH, and every other one that could be fetched. */
export function redisPrograms(): readonly RedisProgram[] {
  const releases = existsSync(FETCHED) ? readdirSync(FETCHED).toSorted() : [];
  const fetched = releases
    .flatMap((release) => PROGRAMS.map((program) => join(FETCHED, release, program)))
    .filter((path) => existsSync(path));
  return ['redis-server', ...fetched].map((binary) => ({ name: nameOf(binary), binary }));
}

function nameOf(binary: string): string {
  const { stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' });
  const [, name, version] = /^(\w+) server v=(\S+)/.exec(stdout) ?? [];
  if (name === undefined || version === undefined) throw new Error(`${binary} does not run`);
  return `${name} ${version}`;
}
