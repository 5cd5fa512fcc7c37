// Makes the one file that `splat export scene.html` fills in: node bundle.mjs FOLDER
// phone/page.html with its style, its first script and, gzipped, SuperSplat Viewer (which has the PlayCanvas engine
// in it). What Python fills in later stands in {{braces}}; see splat/export/page.py.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const viewer = join(here, 'node_modules/@playcanvas/supersplat-viewer');
const read = (...path) => readFileSync(join(...path), 'utf8');

/** The text with one part replaced, which must be there once and no more. */
function replaced(text, part, by) {
    const count = text.split(part).length - 1;
    if (count !== 1) throw new Error(`${JSON.stringify(part)} is there ${count} times, not once`);
    return text.split(part).join(by);
}

// The published bundle of this very version, so that a replacement means what it meant when it was written.
const published = read(viewer, 'public/index.js');
const digest = createHash('sha256').update(published).digest('hex');
if (!digest.startsWith('dc22b4a2')) throw new Error(`public/index.js has changed (sha256 ${digest}): look at it again`);
const { version } = JSON.parse(read(viewer, 'package.json'));
const engine = published.match(/const version\$1 = "([\d.]+)"/)[1];

// The page decides how many pixels it draws (phone/resolution.js).
const patched = replaced(
    published,
    'const scale = pixelRatio * (performanceMode ? 0.5 : 1.0);',
    'const scale = pixelRatio * globalThis.splatResolution;'
);

const minified = { bundle: true, minify: true, write: false, legalComments: 'none', target: ['es2022', 'safari16.4'] };
minified.external = ['node:worker_threads']; // Behind a test for browsers.
const patch = {
    name: 'patch',
    setup: (step) => {
        step.onResolve({ filter: /^supersplat-viewer$/ }, () => ({ path: 'supersplat-viewer', namespace: 'patched' }));
        step.onLoad({ filter: /./, namespace: 'patched' }, () => ({ contents: patched }));
    }
};
const text = async (options) => (await build({ ...minified, ...options })).outputFiles[0].text;
const code = await text({ entryPoints: [join(here, 'phone/viewer.js')], format: 'esm', plugins: [patch] });
const first = await text({ entryPoints: [join(here, 'phone/page.js')], format: 'iife', globalName: 'splat' });
const style = await text({ entryPoints: [join(here, 'phone/page.css')] });

const licence = read(viewer, 'LICENSE').trim();
const escaped = (words) => words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
let page = read(here, 'phone/page.html');
page = replaced(page, '/* page.css */', style.trim());
page = replaced(page, '/* page.js */', first.trim());
page = replaced(page, '<!-- viewer.js -->', gzipSync(code, { level: 9 }).toString('base64'));
page = replaced(page, '<!-- versions -->', `SuperSplat Viewer ${version}, PlayCanvas ${engine}`);
page = replaced(page, '<!-- licence -->', escaped(licence));

const folder = process.argv[2] ?? join(here, 'dist');
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'page.html'), page);
const notice = `page.html contains SuperSplat Viewer ${version} and, within it, the PlayCanvas engine ${engine}.\n`;
writeFileSync(join(folder, 'LICENSE.txt'), `${notice}Both are under this licence:\n\n${licence}\n`);
