// How many of the screen's pixels are drawn: all while the picture rests, fewer while it moves if that is what 30
// frames a second take.

const SLOWEST = 1000 / 30;
const LEAST = 0.35;
const FRAMES = 8; // judged at a time
const REST = 250; // ms without a frame after which the picture rests

/** Lets `globalThis.splatResolution`, by which the viewer sizes its canvas, follow the time that frames take. */
export function adapt(viewer) {
    const { app } = viewer;
    let moving = globalThis.splatResolution;
    let last = 0;
    let times = [];
    let resting;
    const set = (share) => {
        if (share === globalThis.splatResolution) return;
        globalThis.splatResolution = share;
        app.renderNextFrame = true;
    };
    app.on('postrender', () => {
        const now = performance.now();
        const time = now - last;
        last = now;
        clearTimeout(resting);
        resting = setTimeout(() => {
            set(1);
            times = [];
        }, REST);
        if (time > 2 * REST) return; // The first frame after a rest.
        times.push(time);
        if (times.length < FRAMES) return;
        const median = times.sort((a, b) => a - b)[FRAMES / 2];
        times = [];
        // Pixels go with the square of the share. Up in small steps, so that it doesn't swing.
        if (median > 1.15 * SLOWEST) moving = Math.max(LEAST, moving * Math.max(0.6, Math.sqrt(SLOWEST / median)));
        else if (median < 0.6 * SLOWEST) moving = Math.min(1, moving * 1.1);
        set(moving);
    });
}
