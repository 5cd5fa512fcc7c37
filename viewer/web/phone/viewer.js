// Shows the scene by SuperSplat Viewer, through the interface that it documents, under controls of our own.

import { createViewer } from 'supersplat-viewer';

import { adapt } from './resolution.js';

const $ = (id) => document.getElementById(id);
const HINT = 6000; // ms for which the first words stay
const TOUCH = {
    orbit: 'Drag to turn · two fingers to move · pinch to zoom',
    fly: 'Drag to look around · tap to go there · two fingers to move'
};
const MOUSE = {
    orbit: 'Drag to turn · right button to move · wheel to zoom',
    fly: 'Drag to look around · click to go there · W A S D to move'
};

globalThis.splatResolution = 1;

export async function show(page, scene, { fail, progress }) {
    const query = new URLSearchParams(location.search);
    const still = query.has('noanim') || matchMedia('(prefers-reduced-motion: reduce)').matches;
    const viewer = await createViewer({
        container: $('stage'),
        settings: page.settings,
        contentUrl: 'scene.sog', // The name says the format; the contents are here.
        contents: Promise.resolve(scene),
        renderer: query.has('webgpu') ? 'webgpu' : 'webgl',
        aa: page.antialias,
        noanim: still,
        ui: false
    });
    const { app, events, state } = viewer;
    const canvas = app.graphicsDevice.canvas;
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', document.title);
    app.assets.on('error', (error) => fail('The scene cannot be read: get the file again from where it came.', error));
    app.graphicsDevice.on('devicelost', () => {
        fail('The browser gave up drawing, perhaps for want of memory: close other pages and try again.');
    });

    const loaded = () => {
        // Twice, since what a touch during the flight leads to is the mode before it.
        state.cameraMode = page.explore;
        if (!still) state.cameraMode = 'anim';
        progress(1, 'Ready');
        document.body.classList.add('ready');
        $('hint').textContent = (matchMedia('(pointer: coarse)').matches ? TOUCH : MOUSE)[page.explore];
        $('controls').hidden = $('hint').hidden = false;
        setTimeout(() => $('hint').classList.add('gone'), HINT);
        adapt(viewer);
    };
    if (state.loaded) loaded();
    else events.once('loaded:changed', loaded);
    canvas.addEventListener('pointerdown', () => $('hint').classList.add('gone'), { once: true });

    const playing = () => state.cameraMode === 'anim' && !state.animationPaused;
    const tell = () => {
        $('play').setAttribute('aria-pressed', String(playing()));
        $('play').setAttribute('aria-label', playing() ? 'Stop the camera flight' : 'Play the camera flight');
    };
    events.on('cameraMode:changed', tell);
    events.on('animationPaused:changed', tell);
    $('play').addEventListener('click', () => {
        const stop = playing();
        if (!stop) state.cameraMode = 'anim';
        state.animationPaused = stop;
    });
    $('reset').addEventListener('click', () => {
        state.cameraMode = page.explore;
        viewer.resetCamera();
    });
    $('fullscreen').hidden = !document.fullscreenEnabled;
    $('fullscreen').addEventListener('click', () => {
        // The page, not the viewer's own element, so that the controls stay.
        if (document.fullscreenElement) document.exitFullscreen();
        else document.documentElement.requestFullscreen().catch(() => {});
    });
}
