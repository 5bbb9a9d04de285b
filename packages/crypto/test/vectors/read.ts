import { readFileSync } from 'node:fs';

/** The bytes that `pattern(length)` of generate.py gives: byte i is (31 i + 7) mod 256. */
export function pattern(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (31 * i + 7) & 0xff));
}

export function readText(name: string): string {
  return readFileSync(new URL(name, import.meta.url), 'utf8');
}

/** @returns the parsed file; the caller says what it holds */
export function readJson(name: string): unknown {
  return JSON.parse(readText(name));
}

/** One case of a CAVP `.rsp` file; `PT` is absent where the decryption must fail. */
export interface CavpCase {
  readonly section: string;
  readonly Count: string;
  readonly Key: Buffer;
  readonly IV: Buffer;
  readonly AAD: Buffer;
  readonly CT: Buffer;
  readonly Tag: Buffer;
  readonly PT: Buffer | undefined;
}

/** Reads a NIST CAVP GCM response file: `[Name = value]` lines open a section, an empty line ends a case. */
export function readCavpCases(name: string): readonly CavpCase[] {
  const cases: CavpCase[] = [];
  let section: string[] = [];
  for (const block of readText(name).split(/\n\n+/)) {
    const lines = block.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    if (lines[0]?.startsWith('[') === true) section = lines;
    const fields = new Map(
      lines
        .filter((line) => /^\w+ =/.test(line))
        .map((line) => [
          line.slice(0, line.indexOf(' =')),
          line.slice(line.indexOf('=') + 1).trim(),
        ]),
    );
    const count = fields.get('Count');
    if (count === undefined) continue;
    const bytes = (field: string): Buffer => Buffer.from(fields.get(field) ?? '', 'hex');
    cases.push({
      section: section.join(' '),
      Count: count,
      Key: bytes('Key'),
      IV: bytes('IV'),
      AAD: bytes('AAD'),
      CT: bytes('CT'),
      Tag: bytes('Tag'),
      PT: lines.includes('FAIL') ? undefined : bytes('PT'),
    });
  }
  return cases;
}
