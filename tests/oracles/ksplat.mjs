// A .ksplat by GaussianSplats3D's own writer: node ksplat.mjs IN.ply OUT.ksplat LEVEL DEGREE SECTION BLOCK BUCKET
import { readFileSync, writeFileSync } from 'node:fs';

// It looks at the browser while it loads.
globalThis.window ??= { setTimeout };
const { PlyParser, SplatBufferGenerator } = await import('@mkkellogg/gaussian-splats-3d');
const { Vector3 } = await import('three');

const [source, target, level, degree, section, block, bucket] = process.argv.slice(2);
const bytes = readFileSync(source);
const ply = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const splats = PlyParser.parseToUncompressedSplatArray(ply, Number(degree));
const generator = SplatBufferGenerator.getStandardGenerator(
    0, Number(level), Number(section), new Vector3(), Number(block), Number(bucket));
writeFileSync(target, new Uint8Array(generator.generateFromUncompressedSplatArray(splats).bufferData));
