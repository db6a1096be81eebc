// Opens arrays by zarrita: see foreign.py.
import { createInterface } from 'node:readline';
import { writeFileSync } from 'node:fs';
import FileSystemStore from '@zarrita/storage/fs';
import * as zarr from 'zarrita';

let path = null;
for await (const line of createInterface({ input: process.stdin })) {
  if (path === null) { path = line; continue; }
  let said;
  try {
    const array = await zarr.open(new FileSystemStore(path), { kind: 'array' });
    const { data, shape } = await zarr.get(array);
    const bytes = array.dtype === 'bool' ? Uint8Array.from(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    writeFileSync(`${line}/array`, bytes);
    said = { array: [array.dtype, shape] };
  } catch (error) { said = { error: error.message }; }
  console.log(JSON.stringify(said));
  path = null;
}
