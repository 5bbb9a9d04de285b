/** The custody check: do both halves end in one artefact, and which pair would be better? */
import type { Artefact, HalfSource } from './half-source.js';

/** The disks and the `vm-data` of one virtual machine travel together in its snapshots and exports. */
export const VIRTUAL_MACHINE: Artefact = {
  id: 'virtual-machine',
  label: 'this virtual machine, whose vm-data and disks travel together in snapshots and exports',
};

const BETTER_PAIR =
  'A better pair keeps one half elsewhere: `command` (a secret manager) with `file`, `systemd` (credentials sealed to the TPM) with `file`, or a `file` on a network share with `xenstore`.';

/**
 * @returns warnings, one sentence or two each; none when no artefact is known to hold both halves.
 *   Two disks of one machine do not warn by themselves (`virtual-machine` only counts when a half
 *   is in XenStore), since a file cannot tell whether its machine is virtual.
 */
export async function checkCustody(
  halfA: HalfSource,
  halfB: HalfSource,
): Promise<readonly string[]> {
  const [inA, inB] = await Promise.all([halfA.artefacts(), halfB.artefacts()]);
  const isInXenstore = halfA.source === 'xenstore' || halfB.source === 'xenstore';
  const shared = inA.find(
    ({ id }) => inB.some((other) => other.id === id) && (id !== VIRTUAL_MACHINE.id || isInXenstore),
  );
  if (shared === undefined) return [];
  return [
    `Both halves (${halfA.source} and ${halfB.source}) are in ${shared.label}: whoever copies that has the whole key. ${BETTER_PAIR}`,
  ];
}
