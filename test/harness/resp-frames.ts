/**
 * Finds where the frames of a RESP2 or RESP3 stream end, and nothing more: each frame comes out as the bytes it came in.
 * Format: https://redis.io/docs/latest/develop/reference/protocol-spec/
 */
export class RespFrames {
  #rest: Buffer = Buffer.alloc(0);

  /** @returns the frames that are complete now; what is left waits for the next chunk */
  push(chunk: Buffer): Buffer[] {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Buffer[] = [];
    let start = 0;
    for (;;) {
      const end = frameEnd(data, start);
      if (end === undefined) break;
      frames.push(data.subarray(start, end));
      start = end;
    }
    this.#rest = data.subarray(start);
    return frames;
  }
}

/** Offset after the frame that begins at `start`; `undefined` when it is not complete. */
function frameEnd(data: Buffer, start: number): number | undefined {
  let offset = start;
  /** Values still to be read; an aggregate adds its elements. */
  for (let values = 1; values > 0; values -= 1) {
    const lineEnd = data.indexOf('\r\n', offset);
    if (lineEnd < 0) return undefined;
    const type = String.fromCharCode(data[offset] ?? 0);
    const length = Number(data.toString('latin1', offset + 1, lineEnd));
    offset = lineEnd + 2;
    if ('$!='.includes(type) && length >= 0) offset += length + 2;
    else if ('*~>'.includes(type) && length > 0) values += length;
    else if (type === '%') values += 2 * length;
    else if (type === '|') values += 2 * length + 1; // attributes come before the value they describe
    if (offset > data.length) return undefined;
  }
  return offset;
}

/** The words of a request: an array of bulk strings, or an inline command. */
export function parseRequest(frame: Buffer): Buffer[] {
  if (frame[0] !== '*'.charCodeAt(0)) {
    return frame
      .toString('latin1')
      .trim()
      .split(' ')
      .map((word) => Buffer.from(word, 'latin1'));
  }
  const words: Buffer[] = [];
  let offset = frame.indexOf('\r\n') + 2;
  while (offset < frame.length) {
    const lineEnd = frame.indexOf('\r\n', offset);
    const length = Number(frame.toString('latin1', offset + 1, lineEnd));
    words.push(frame.subarray(lineEnd + 2, lineEnd + 2 + length));
    offset = lineEnd + 2 + length + 2;
  }
  return words;
}
