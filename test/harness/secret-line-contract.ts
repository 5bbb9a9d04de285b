import { expect, it } from '@jest/globals';
import { Readable } from 'node:stream';

/** Stands for a password; no refusal may hold it. */
const SECRET = 'm4rk3r of a secret ☂';
const bytes = (...parts: readonly (string | readonly number[])[]): Buffer =>
  Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))),
  );

/**
 * What every prompt for one line does with a standard input that is no terminal, in each program: it takes a line that
 * stands there alone, and refuses all else, so that nothing is dropped.
 */
export function itTakesOneLineWhole(read: (input: Readable) => Promise<string>): void {
  const take = (pieces: readonly Buffer[]): Promise<string> =>
    read(Readable.from(pieces, { objectMode: false }));

  it.each<[string, readonly Buffer[], string]>([
    ['a line', [bytes(`${SECRET}\n`)], SECRET],
    ['a line without its end', [bytes(SECRET)], SECRET],
    ['a line of another system', [bytes(`${SECRET}\r\n`)], SECRET],
    ['a line in pieces', [...bytes(`${SECRET}\n`)].map((byte) => bytes([byte])), SECRET],
    ['spaces at both ends', [bytes(`  ${SECRET} \t\n`)], `  ${SECRET} \t`],
    ['a carriage return inside', [bytes('a\rb\n')], 'a\rb'],
    ['a NUL and a byte order mark', [bytes([0xef, 0xbb, 0xbf], 'a\0b\n')], '\uFEFFa\0b'],
    ['64 KiB', [bytes('x'.repeat(65_535), '\n')], 'x'.repeat(65_535)],
  ])('takes %s', async (_, pieces, line) => {
    expect(await take(pieces)).toBe(line);
  });

  it.each<[string, readonly Buffer[]]>([
    ['nothing', []],
    ['an empty line', [bytes('\n')]],
    ['an empty line before it', [bytes(`\n${SECRET}\n`)]],
    ['a second line', [bytes(`${SECRET}\n${SECRET}\n`)]],
    ['a second line that comes later', [bytes(`${SECRET}\n`), bytes(SECRET)]],
    ['an empty line behind it', [bytes(`${SECRET}\n\n`)]],
    ['a key in PEM', [bytes('-----BEGIN PRIVATE KEY-----\r\nm4rk3r\r\n-----END')]],
    ['what is no UTF-8', [bytes(SECRET, [0xff], '\n')]],
    ['over 64 KiB', [bytes('x'.repeat(65_536), '\n')]],
  ])('refuses %s, without showing it', async (_, pieces) => {
    const refused = await take(pieces).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: expect.stringMatching(/^(SECRET_INPUT|INPUT_UNAVAILABLE)$/),
    });
    const { message, stack } = refused as Error;
    expect(message).toContain('standard input');
    expect(message + stack).not.toMatch(/m4rk3r|xxx/);
  });
}
