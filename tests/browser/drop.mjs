// Files that a test makes up and drops on the page.

import { Buffer } from "node:buffer";
import { deflateSync } from "node:zlib";

/** Drops a file on the page, as a visitor's file manager would. */
export async function drop(page, name, bytes, type = "image/png") {
  const dataTransfer = await page.page.evaluateHandle(
    ({ name, base64, type }) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name, { type }));
      return transfer;
    },
    { name, base64: Buffer.from(bytes).toString("base64"), type },
  );
  await page.page.dispatchEvent("main", "dragover", { dataTransfer });
  await page.control("drop-target").waitFor({ timeout: 30_000 });
  await page.page.dispatchEvent("main", "drop", { dataTransfer });
  await page.control("drop-target").waitFor({ state: "detached", timeout: 30_000 });
}

function crc(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
    }
  }
  return ~crc >>> 0;
}

function chunk(kind, data) {
  const body = Buffer.concat([Buffer.from(kind), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc(body));
  return Buffer.concat([length, body, checksum]);
}

/** A PNG of one grey pixel, with these texts. */
export function png(texts = {}) {
  const header = Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]);
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk("IHDR", header),
    ...Object.entries(texts).map(([key, text]) =>
      chunk("iTXt", Buffer.concat([Buffer.from(`${key}\0\0\0\0\0`), Buffer.from(text)])),
    ),
    chunk("IDAT", deflateSync(Buffer.from([0, 99]))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** EXIF whose user comment is this text, in UTF-16 as Civitai writes it. */
function exif(text) {
  const comment = Buffer.concat([Buffer.from("UNICODE\0"), Buffer.from(text, "utf16le").swap16()]);
  const entry = Buffer.alloc(12);
  entry.writeUInt16BE(0x9286, 0);
  entry.writeUInt16BE(7, 2);
  entry.writeUInt32BE(comment.length, 4);
  entry.writeUInt32BE(26, 8);
  // The header, a directory of one entry, and no further one.
  const [header, end] = [Buffer.from("MM\0*\0\0\0\x08\0\x01", "latin1"), Buffer.alloc(4)];
  return Buffer.concat([header, entry, end, comment]);
}

/** A WebP without pixels, with this text in its EXIF. */
export function webp(text) {
  const data = exif(text);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(data.length);
  const padding = Buffer.alloc(data.length % 2);
  const body = Buffer.concat([Buffer.from("WEBPEXIF"), size, data, padding]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([Buffer.from("RIFF"), length, body]);
}
