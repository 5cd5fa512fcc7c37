// The page's first script: takes in what follows it in the file, piece by piece, says how far that has come, and what
// went wrong. All of the file's own; nothing is fetched.

const $ = (id) => document.getElementById(id);
const page = JSON.parse($('page').textContent);
const pieces = [];
let received = 0;
let failed = false;
let viewer;

// A screen's longer side shows as much as the picture's, or so much more that its shorter one does; the viewer's fields
// of view are along the longer side. The poster holds what the narrowest screen shows.
const ratio = Math.max(innerWidth, innerHeight) / Math.min(innerWidth, innerHeight);
const widened = Math.max(1, ratio / page.aspect);
const widen = (fov) => (360 / Math.PI) * Math.atan(widened * Math.tan((fov * Math.PI) / 360));
const { cameras, animTracks } = page.settings;
cameras[0].initial.fov = widen(cameras[0].initial.fov);
animTracks[0].keyframes.values.fov = animTracks[0].keyframes.values.fov.map(widen);
$('poster').style.scale = String(Math.max(1, page.poster / widened));

/** Shows what a person can do about it, and what a programmer wants to know. */
export function fail(reason, details) {
    if (failed) return;
    failed = true;
    $('reason').textContent = reason;
    $('details').textContent = [details?.stack ?? details, navigator.userAgent].filter(Boolean).join('\n');
    $('failure').hidden = false;
    $('loading').hidden = $('controls').hidden = $('hint').hidden = true;
}

/** The bytes in the script element before the one that runs, which is taken out of the document. */
function taken() {
    const element = document.currentScript.previousElementSibling;
    const packed = element.textContent;
    element.remove();
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(packed);
    return Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
}

function progress(share, words) {
    $('bar').style.width = `${100 * share}%`;
    $('amount').textContent = words;
    $('loading').setAttribute('aria-valuenow', String(Math.round(100 * share)));
}

/** Takes the viewer's code, gzipped, and has it compiled while the scene still comes. */
export function code() {
    try {
        const stream = new Blob([taken()]).stream().pipeThrough(new DecompressionStream('gzip'));
        viewer = new Response(stream).blob().then((script) => {
            const address = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
            return import(address).finally(() => URL.revokeObjectURL(address));
        });
        viewer.catch(() => {}); // Said by start().
    } catch (error) {
        fail('This browser is too old for it: update it, or open the page in another one.', error);
    }
}

/** Takes the next piece of the scene. */
export function piece() {
    if (failed) return;
    try {
        pieces.push(taken());
        received += pieces.at(-1).length;
        const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
        progress(0.9 * received / page.bytes, `${megabytes(received)} of ${megabytes(page.bytes)} MB`);
    } catch (error) {
        fail('The file is damaged: get it again from where it came.', error);
    }
}

/** Shows the scene, if all of it is there. */
async function start() {
    if (failed) return;
    if (received !== page.bytes) return fail('The file is cut short: get it again from where it came.', received);
    // A context of its own canvas: a browser without WebGL2 gives none.
    const context = document.createElement('canvas').getContext('webgl2');
    if (!context) {
        return fail('This browser draws no WebGL 2: allow hardware acceleration, or open the page in another browser.');
    }
    context.getExtension('WEBGL_lose_context')?.loseContext();
    try {
        const scene = await new Blob(pieces.splice(0)).arrayBuffer();
        progress(0.92, 'Preparing …');
        await (await viewer).show(page, scene, { fail, progress });
    } catch (error) {
        fail('The viewer did not start: reload the page, or open it in another browser.', error);
    }
}

// Comes after a file that breaks off, too.
document.addEventListener('DOMContentLoaded', start);
addEventListener('error', (event) => event.message && fail('Something went wrong in the page.', event.error));
$('again').addEventListener('click', () => location.reload());
$('about').addEventListener('click', () => $('credits').showModal());
