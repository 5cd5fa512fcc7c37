// Prints, as the last line and JSON, what two other readers make of an SPZ file: node spz.mjs FILE
// Both in the axes of captures (right, down, forward) and with quaternions xyzw.
import { readFileSync } from 'node:fs';
import createAdobe from '@adobe/spz';
import { loadSpz } from '@spz-loader/core';

const bytes = new Uint8Array(readFileSync(process.argv[2]));
const names = ['positions', 'scales', 'rotations', 'alphas', 'colors', 'sh'];
const told = (cloud) => ({
    ...Object.fromEntries(names.map((name) => [name, Array.from(cloud[name])])),
    antialiased: cloud.antialiased,
});

const adobe = await createAdobe();
const answer = { adobe: told(await adobe.loadSpzFromBuffer(bytes, { to: adobe.CoordinateSystem.RDF })) };
if (bytes[0] === 0x1f) {
    // It does not know version 4. It is built for browsers and lacks what it would use in Node.
    process.type = 'renderer';
    answer.loader = told(await loadSpz(bytes, { unpackOptions: { coordinateSystem: 'RDF' } }));
}
process.stdout.write(`\n${JSON.stringify(answer)}`);
