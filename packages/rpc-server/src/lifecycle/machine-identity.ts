/** By what a machine can be told from a copy of it: hashes only, since what is written down is nobody's business. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Each hash is salted with the database id, so that two files of one machine show nothing in common. */
export interface MachineMarks {
  /** machine-id(5); `null` where there is none. A copy has the same until somebody makes a new one. */
  readonly machineId: string | null;
  /** Of the virtual machine, by its hypervisor. A copy has another. */
  readonly virtualMachine: string | null;
  /** Hardware addresses of network interfaces with a device. A copy has others. */
  readonly networkCards: readonly string[];
}

const MACHINE_ID_FILES = ['/etc/machine-id', '/var/lib/dbus/machine-id'];
/** Xen tells everybody, the firmware only root. */
const VIRTUAL_MACHINE_FILES = ['/sys/hypervisor/uuid', '/sys/class/dmi/id/product_uuid'];
const NETWORK_FOLDER = '/sys/class/net';

/** @param root of the file system, for tests */
export function readMachineMarks(databaseId: string, root = '/'): MachineMarks {
  const hash = (kind: string, value: string | undefined): string | null =>
    value === undefined
      ? null
      : createHash('sha256').update(`${databaseId}\0${kind}\0${value}`).digest('hex').slice(0, 32);
  return {
    machineId: hash('machine-id', firstText(root, MACHINE_ID_FILES)),
    virtualMachine: hash('virtual machine', firstText(root, VIRTUAL_MACHINE_FILES)),
    networkCards: cardAddresses(join(root, NETWORK_FOLDER))
      .flatMap((address) => hash('network card', address) ?? [])
      .toSorted(),
  };
}

/** In which ways two machines differ, so that one cannot be the other; none: they may be the same. */
export function differences(known: MachineMarks, now: MachineMarks): readonly string[] {
  const areCardsOther =
    known.networkCards.length > 0 &&
    now.networkCards.length > 0 &&
    !known.networkCards.some((card) => now.networkCards.includes(card));
  return [
    ...(isOther(known.machineId, now.machineId) ? ['machine-id'] : []),
    ...(isOther(known.virtualMachine, now.virtualMachine) ? ['virtual machine'] : []),
    ...(areCardsOther ? ['all network cards'] : []),
  ];
}

function isOther(one: string | null, two: string | null): boolean {
  return one !== null && two !== null && one !== two;
}

function firstText(root: string, paths: readonly string[]): string | undefined {
  for (const path of paths) {
    const text = textOf(join(root, path));
    if (text !== undefined) return text;
  }
  return undefined;
}

/** @returns `undefined` where it cannot be read or is empty */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

function cardAddresses(folder: string): readonly string[] {
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  // Only a card has a device; what containers and bridges make up changes with every start.
  return names.flatMap((name) => {
    const isCard = textOf(join(folder, name, 'device', 'uevent')) !== undefined;
    const address = textOf(join(folder, name, 'address'));
    return isCard && address !== undefined ? [address] : [];
  });
}
