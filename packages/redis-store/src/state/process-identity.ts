/** Which process on which machine: so that a lock or heartbeat of a process that is provably dead need not be waited for. */
import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

export interface ProcessIdentity {
  /** Random, new with every {@link currentIdentity}. */
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** Kernel start, process-id name space and start tick of the process; empty where `/proc` does not tell. */
  readonly incarnation: string;
}

/** `boot id / pid name space`, equal only for processes that see each other's process ids. */
function kernelScope(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot}/${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return undefined;
  }
}

/** Start tick (field 22 of `/proc/<pid>/stat`, proc(5)); `undefined` when there is no such process, or it is a zombie. */
function startTick(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses and may hold anything: count from its end.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** The identity of this process. */
export function currentIdentity(): ProcessIdentity {
  const scope = kernelScope();
  const tick = startTick(process.pid);
  const incarnation = scope === undefined || tick === undefined ? '' : `${scope}/${tick}`;
  return { id: randomUUID(), host: hostname(), pid: process.pid, incarnation };
}

/** Whether a process certainly runs no more: it belongs to this kernel and name space, and its process id is free or another's. `false` also means unknown. */
export function isProvablyDead(identity: ProcessIdentity): boolean {
  const scope = kernelScope();
  if (scope === undefined || !identity.incarnation.startsWith(`${scope}/`)) return false;
  return startTick(identity.pid) !== identity.incarnation.slice(scope.length + 1);
}

/** Reads an identity that came out of Redis. */
export function parseIdentity(value: unknown): ProcessIdentity | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { id, host, pid, incarnation } = value as Record<string, unknown>;
  // Anybody who can write there may have made it up, and the host is shown: RFC 1035, section 2.3.4.
  if (typeof id !== 'string' || typeof incarnation !== 'string') return undefined;
  if (typeof host !== 'string' || !/^[\w.-]{0,253}$/.test(host)) return undefined;
  return typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 0
    ? { id, host, pid, incarnation }
    : undefined;
}
