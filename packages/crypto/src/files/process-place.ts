/** Which process of which machine left something in a folder, and whether it still runs. */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname, uptime } from 'node:os';

/** Tells process ids of this machine and name space from those of others that share the folder. */
export const PROCESS_PLACE = createHash('sha256')
  .update(`${hostname()} ${pidNamespace()}`)
  .digest('hex')
  .slice(0, 8);

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

/** Whether a process of this place is gone for certain. */
export function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Start of this machine and of a process of this place, since a process id is used again after either; `undefined` when there is none. */
export function incarnationOf(pid: number): string | undefined {
  try {
    const boot = bootId();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything: count from its end. Field 22, proc(5).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : `${boot}/${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** Whether an incarnation is of a process since the last start of this machine. */
export function isOfThisRun(incarnation: string): boolean {
  try {
    return incarnation.startsWith(`${bootId()}/`);
  } catch {
    return false;
  }
}

/** Start of this machine, ms since the epoch. */
export function machineStartedMs(): number {
  return Date.now() - uptime() * 1000;
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
