// What viser's page does not do by itself: it says when the server is gone, flies, keeps light or dark, starts folded on
// a phone, and names viser's unnamed buttons. Loaded before viser's own code, by viewer/inject.py.
//
// viser talks to its server from a worker; `link` stands in between, sees the messages of both ways and adds some. Where
// they look other than in viser 1.1, the parts that need them do nothing.
"use strict";
(() => {
  const PHONE = "(max-width: 36em)"; // viser's own border between panel and sheet
  const FINGERS = "(pointer: coarse)";
  const GONE_AFTER = 3000; // milliseconds without a connection until the page says so

  // ---- The link ------------------------------------------------------------------------------------------------------

  const link = {
    worker: null,
    connected: null, // null: not known, since no worker of viser's has said so
    camera: null, // the newest ViewerCameraMessage
    theme: null, // the newest ThemeConfigurationMessage
    help: null, // the command that shows the help
    hold: null, // the command that ends what moves the camera
    movedAt: -Infinity, // when the server last put the camera somewhere
    send(message) {
      this.worker?.postMessage({ type: "send", message });
    },
    receive(messages) {
      this.worker?.dispatchEvent(new MessageEvent("message", { data: { type: "message_batch", messages, ours: true } }));
    },
    sent(data) {
      if (data?.type === "send" && data.message?.type === "ViewerCameraMessage") this.camera = data.message;
    },
    came(data) {
      if (data?.type === "connected") heartbeat.up();
      else if (data?.type === "closed") heartbeat.down();
      else if (data?.type === "message_batch" && !data.ours) for (const message of data.messages) this.note(message);
    },
    note(message) {
      if (message.type === "ThemeConfigurationMessage") theme.meet(message);
      else if (message.type === "RegisterCommandMessage" && message.props?.hotkey === "H") this.help = message.uuid;
      else if (message.type === "RegisterCommandMessage" && message.props?.label === "Stop the camera") this.hold = message.uuid;
      else if (message.type === "SetCameraPositionMessage") {
        this.movedAt = performance.now();
        flight.end(); // the server took the camera elsewhere
      }
    },
    /** A hand on the camera: where the server moves it just now, it is to leave that. */
    take() {
      if (this.hold && performance.now() - this.movedAt < 1000) this.send({ type: "CommandTriggerMessage", uuid: this.hold });
      this.movedAt = -Infinity;
    },
  };

  window.Worker = class extends window.Worker {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", (event) => {
        if (this === link.worker) link.came(event.data);
      });
    }
    postMessage(data, ...more) {
      if (data?.type === "set_server") link.worker = this;
      if (this === link.worker) link.sent(data);
      super.postMessage(data, ...more);
    }
  };

  // ---- The heartbeat: is the server there? ----------------------------------------------------------------------------

  const heartbeat = {
    since: null, // when the connection was lost
    reason: "",
    up() {
      link.connected = true;
      this.since = null;
      this.show();
    },
    down() {
      link.connected = false;
      this.since ??= Date.now();
    },
    async ask() {
      const patience = link.connected ? 15000 : 3000; // a machine that trains may be slow to answer
      try {
        const answer = await fetch("/splat/state", { cache: "no-store", signal: AbortSignal.timeout(patience) });
        if (answer.status === 401) this.reason = "new link";
        else {
          const { state, text } = await answer.json();
          this.reason = text ?? state;
          if (link.connected ?? state === "open") this.since = null;
        }
      } catch {
        this.reason = "silent";
        this.since ??= Date.now();
      }
      this.show();
    },
    sentence() {
      if (this.reason === "new link")
        return "The viewer was started anew and has a new link. Open the one that its terminal shows now.";
      if (this.reason === "full") return "The viewer is full: as many browsers look as it serves. Retrying…";
      if (this.reason === "open")
        return document.hasFocus() ? "Connecting again…" : "The connection was lost. Click here to connect again.";
      if (this.reason && this.reason !== "silent") return this.reason;
      return "The picture is frozen. Retrying… Is the terminal still running?";
    },
    show() {
      const lost = this.since !== null && Date.now() - this.since >= GONE_AFTER;
      banner.hidden = !lost;
      if (!lost) return;
      const counts = this.reason === "silent" || this.reason === "";
      const seconds = counts ? `Disconnected ${Math.round((Date.now() - this.since) / 1000)} s ago. ` : "";
      if (clock.textContent !== seconds) clock.textContent = seconds;
      // Only a changed sentence is read out.
      if (sentence.textContent !== this.sentence()) sentence.textContent = this.sentence();
    },
    start() {
      setInterval(() => this.show(), 1000);
      const again = async () => {
        await this.ask();
        setTimeout(again, this.since === null ? 4000 : 1000);
      };
      setTimeout(again, 2000);
    },
  };

  // ---- Light and dark -------------------------------------------------------------------------------------------------

  const theme = {
    get dark() {
      const kept = localStorage.getItem("splat-theme");
      return kept === null ? !matchMedia("(prefers-color-scheme: light)").matches : kept === "dark";
    },
    meet(message) {
      message.dark_mode = this.dark;
      link.theme = message;
    },
    toggle() {
      localStorage.setItem("splat-theme", this.dark ? "light" : "dark");
      if (link.theme) link.receive([{ ...link.theme, dark_mode: this.dark }]);
    },
  };

  // ---- Flying ---------------------------------------------------------------------------------------------------------

  const add = (a, b, k = 1) => a.map((value, i) => value + k * b[i]);
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const unit = (a) => a.map((value) => value / (Math.hypot(...a) || 1));
  const turned = (a, axis, angle) =>
    add(add(a.map((value) => value * Math.cos(angle)), cross(axis, a), Math.sin(angle)),
      axis, dot(axis, a) * (1 - Math.cos(angle)));

  const MOVES = { KeyW: [0, 1, 0], KeyS: [0, -1, 0], KeyA: [-1, 0, 0], KeyD: [1, 0, 0], KeyQ: [0, 0, -1], KeyE: [0, 0, 1] };
  const flight = {
    on: false,
    held: new Set(),
    stick: [0, 0], // a thumb's push: to the right and ahead, at most 1 long
    canvas: null,
    start() {
      const { position, look_at: target, up_direction: up } = link.camera ?? {};
      if (this.on || !position || !target || !up || link.connected === false) return;
      this.canvas = picture();
      if (!this.canvas) return;
      const way = add(target, position, -1);
      Object.assign(this, { on: true, at: [...position], up: unit(up), ahead: unit(way), reach: Math.hypot(...way) });
      this.rest();
      // A mouse looks around by itself; a finger, and a mouse that is not let, by dragging.
      if (!matchMedia(FINGERS).matches) this.canvas.requestPointerLock?.()?.catch?.(() => {});
      hud.hidden = false;
      fly.setAttribute("aria-pressed", "true");
      this.last = performance.now();
      requestAnimationFrame(() => this.step());
    },
    end() {
      if (!this.on) return;
      this.on = false;
      this.rest();
      if (document.pointerLockElement) document.exitPointerLock();
      hud.hidden = true;
      fly.setAttribute("aria-pressed", "false");
    },
    rest() {
      this.held.clear();
      this.stick = [0, 0];
    },
    step() {
      if (!this.on) return;
      const now = performance.now();
      const seconds = Math.min(0.1, (now - this.last) / 1000);
      this.last = now;
      const right = unit(cross(this.ahead, this.up));
      let way = [0, 0, 0];
      for (const key of this.held) {
        const [x, y, z] = MOVES[key];
        way = add(add(add(way, right, x), this.ahead, y), this.up, z);
      }
      const pushed = add(add([0, 0, 0], right, this.stick[0]), this.ahead, this.stick[1]);
      const pace = (this.shift ? 4 : 1) * 2 ** speed.value * seconds;
      const by = add(way.some((value) => value !== 0) ? unit(way) : way, pushed);
      if (by.some((value) => value !== 0)) {
        this.at = add(this.at, by, pace);
        this.moved = true;
      }
      if (this.moved) this.put();
      requestAnimationFrame(() => this.step());
    },
    look(x, y) {
      const angle = 0.0025;
      const right = unit(cross(this.ahead, this.up));
      const raised = unit(turned(this.ahead, right, -angle * y));
      // Never over the top, where left and right change places.
      if (Math.abs(dot(raised, this.up)) < 0.995) this.ahead = raised;
      this.ahead = unit(turned(this.ahead, this.up, -angle * x));
      this.moved = true;
    },
    put() {
      this.moved = false;
      const target = add(this.at, this.ahead, this.reach);
      link.receive([
        { type: "SetCameraPositionMessage", position: this.at, initial: false },
        { type: "SetCameraLookAtMessage", look_at: target, initial: false },
      ]);
    },
  };

  // Before viser's own listeners, which would turn the same keys and drags into an orbit.
  const typing = (event) => event.target?.matches?.("input:not([type=range]), textarea, select, [contenteditable=true]");
  window.addEventListener("keydown", (event) => {
    if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    flight.shift = event.shiftKey;
    if (event.code === "KeyF" && !event.shiftKey && !event.repeat) flight.on ? flight.end() : flight.start();
    if (!flight.on) return;
    if (event.code === "Escape") flight.end();
    if (!(event.code in MOVES)) return;
    flight.held.add(event.code);
    event.stopImmediatePropagation();
  }, true);
  window.addEventListener("keyup", (event) => {
    flight.shift = event.shiftKey;
    flight.held.delete(event.code);
  }, true);
  window.addEventListener("blur", () => flight.rest());
  for (const kind of ["pointerdown", "wheel"])
    window.addEventListener(kind, (event) => {
      if (event.target === picture()) link.take();
      if (flight.on && event.target === flight.canvas) event.stopImmediatePropagation();
    }, true);
  window.addEventListener("pointermove", (event) => {
    if (!flight.on || event.target !== flight.canvas) return;
    if (document.pointerLockElement || event.buttons) flight.look(event.movementX, event.movementY);
  }, true);
  document.addEventListener("pointerlockchange", () => {
    if (!document.pointerLockElement) flight.end();
  });

  // ---- Double-click and double-tap: fly there --------------------------------------------------------------------------

  /** The canvas that the scene is on: the largest, as others hold small pictures or lie over it without a size. */
  const picture = () =>
    [...document.querySelectorAll("canvas")].sort((a, b) => b.width * b.height - a.width * a.height)[0];

  let tap = null; // the last press that was no drag
  window.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.isPrimary && event.target === picture())
      tap = { ...tap, x: event.clientX, y: event.clientY, down: event.timeStamp };
    else tap = null;
  }, true);
  window.addEventListener("pointerup", (event) => {
    if (tap === null || flight.on) return;
    const still = Math.hypot(event.clientX - tap.x, event.clientY - tap.y) < 12 && event.timeStamp - tap.down < 400;
    const modified = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!still || modified) {
      tap = null;
      return;
    }
    const near = tap.before && Math.hypot(tap.before.x - tap.x, tap.before.y - tap.y) < 30;
    if (near && tap.down - tap.before.at < 350) {
      const box = event.target.getBoundingClientRect();
      // The server takes a click with Shift for the same wish.
      link.send({
        type: "ScenePointerMessage",
        event_type: "click",
        ray_origin: [0, 0, 0],
        ray_direction: [0, 0, 1],
        screen_pos: [[(tap.x - box.left) / box.width, (tap.y - box.top) / box.height]],
        modifier: "shift",
      });
      tap = null;
    } else tap = { before: { x: tap.x, y: tap.y, at: event.timeStamp } };
  }, true);

  // ---- What is seen ----------------------------------------------------------------------------------------------------

  const element = (tag, attributes, ...children) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  };
  const tool = (text, label, action) => {
    const button = element("button", { type: "button", textContent: text, title: label, onclick: action });
    button.setAttribute("aria-label", label);
    return button;
  };
  const clock = element("span", {});
  clock.setAttribute("aria-hidden", "true");
  const sentence = element("span", {});
  sentence.setAttribute("aria-live", "assertive");
  const banner = element("div", { id: "splat-banner", hidden: true }, clock, sentence);
  const chip = element("div", { id: "splat-chip" });
  const help = tool("?", "Keys and gestures (H)", () => link.help && link.send({ type: "CommandTriggerMessage", uuid: link.help }));
  const fly = tool("✈", "Fly: W A S D, Q E and the mouse (F)", () => {
    fly.blur();
    flight.on ? flight.end() : flight.start();
  });
  fly.setAttribute("aria-pressed", "false");
  const shade = tool("◐", "Light or dark", () => theme.toggle());
  const speed = element("input", { type: "range", min: -4, max: 5, step: 0.5, value: 0 });
  speed.setAttribute("aria-label", "Speed of flying");
  const hud = element("label", { id: "splat-hud", hidden: true }, "Speed ", speed, element("span", { className: "keys" }, " Shift: ×4 · Esc ends"));
  const knob = element("div", {});
  const stick = element("div", { id: "splat-stick" }, knob);
  stick.setAttribute("aria-label", "Move: push with a thumb; drag on the picture to look around");
  const push = (event) => {
    const box = stick.getBoundingClientRect();
    let [x, y] = [event.clientX - box.left, event.clientY - box.top].map((value) => (2 * value) / box.width - 1);
    const length = Math.max(1, Math.hypot(x, y));
    flight.stick = [x / length, -y / length];
    knob.style.transform = `translate(${(100 * x) / length}%, ${(100 * y) / length}%)`;
  };
  const release = () => {
    flight.stick = [0, 0];
    knob.style.transform = "";
  };
  stick.addEventListener("pointerdown", (event) => {
    stick.setPointerCapture(event.pointerId);
    push(event);
  });
  stick.addEventListener("pointermove", (event) => event.buttons && push(event));
  for (const kind of ["pointerup", "pointercancel"]) stick.addEventListener(kind, release);
  const tools = element("div", { id: "splat-tools", role: "toolbar" }, help, fly, shade);
  const style = element("style", {
    textContent: `
    #splat { font: 14px/1.4 system-ui, sans-serif; }
    #splat [hidden] { display: none !important; }
    #splat-banner { position: fixed; z-index: 10000; top: 12px; left: 12px; right: 12px;
      width: fit-content; margin: 0 auto; padding: 10px 16px; border-radius: 8px; background: #7a1f1f; color: #fff;
      box-shadow: 0 2px 12px #0008; cursor: pointer; font-variant-numeric: tabular-nums; }
    #splat-chip, #splat-hud, #splat-tools button { background: #1b1b1fc8; color: #eee; border: 0; }
    #splat-chip { position: fixed; z-index: 9; top: 8px; left: 8px; max-width: calc(100vw - 16px); padding: 4px 10px;
      border-radius: 8px; pointer-events: none; font-size: 12px; }
    #splat-chip:empty { display: none; }
    #splat-chip p, .splat-status p { margin: 0; }
    #splat-tools { position: fixed; z-index: 9; left: 8px; bottom: 8px; display: flex; gap: 6px; }
    #splat-tools button { width: 36px; height: 36px; border-radius: 18px; font-size: 17px; cursor: pointer; opacity: 0.75; }
    #splat-tools button:hover, #splat-tools button:focus-visible, #splat-tools [aria-pressed=true] { opacity: 1; }
    #splat-tools [aria-pressed=true] { background: #2b6cb0; }
    #splat-tools button:focus-visible { outline: 2px solid #7ab8ff; }
    #splat-hud { position: fixed; z-index: 9; left: 8px; bottom: 52px; padding: 6px 12px; border-radius: 8px;
      display: flex; align-items: center; gap: 6px; }
    #splat-stick { display: none; position: fixed; z-index: 9; right: 24px; bottom: calc(3.5em + 24px); width: 120px;
      height: 120px; border-radius: 60px; background: #1b1b1fa0; touch-action: none; }
    #splat-stick div { position: absolute; left: 40px; top: 40px; width: 40px; height: 40px; border-radius: 20px;
      background: #ffffffc0; }
    .splat-sheet, .splat-sheet [style*="width: 20em"] { width: 100% !important; }
    @media ${PHONE} {
      #splat-tools { bottom: calc(3.5em + 12px); flex-direction: column; }
      #splat-tools button { width: 44px; height: 44px; border-radius: 22px; }
      #splat-hud { bottom: calc(3.5em + 160px); }
    }
    @media ${FINGERS} {
      #splat-hud .keys { display: none; }
      #splat-hud:not([hidden]) + #splat-stick { display: block; }
    }`,
  });
  const ours = element("div", { id: "splat" }, style, banner, chip, hud, stick, tools);
  banner.onclick = () => window.focus();

  // What viser's buttons without words do, by their icon or by their part of a control.
  const NAMES = {
    ".tabler-icon-list-search": "Search all commands",
    ".tabler-icon-adjustments": "Settings of the page",
    ".tabler-icon-arrow-back": "Back to the controls",
    ".tabler-icon-chevrons-right": "Fold the controls",
    ".tabler-icon-chevrons-left": "Unfold the controls",
    ".mantine-CloseButton-root": "Close",
    ".mantine-ColorInput-eyeDropperButton": "Pick a colour from the screen",
  };

  /** The words before a control, in its row. */
  const words = (control) => {
    for (let row = control.parentElement, up = 0; row && up < 8; row = row.parentElement, up++) {
      const text = row.firstElementChild.contains(control) ? "" : row.firstElementChild.innerText?.trim();
      if (text && /[a-z]/i.test(text)) return text;
    }
    return "Value";
  };

  /** Names the buttons and controls that viser leaves without a name. */
  const name = () => {
    for (const [selector, words] of Object.entries(NAMES))
      for (const found of document.querySelectorAll(`button${selector}, button:has(${selector})`))
        if (!found.ariaLabel && !found.innerText.trim()) found.ariaLabel = words;
    for (const control of document.querySelectorAll("#root input, #root [role=slider], #root [role=progressbar]"))
      if (!control.ariaLabel && !control.labels?.length) control.ariaLabel = words(control);
    for (const picture of document.querySelectorAll("#root img:not([alt])")) picture.alt = words(picture);
  };

  /** On a phone viser's controls are a sheet that opens unfolded and covers the scene: it starts folded. */
  let folded = false;
  const fold = () => {
    const sheet = document.querySelector('#root [style*="max-height: 60%"]');
    const handle = sheet?.querySelector('[style*="cursor: pointer"]');
    sheet?.classList.toggle("splat-sheet", matchMedia(PHONE).matches);
    if (!handle) return;
    if (handle.getAttribute("role") !== "button") {
      handle.setAttribute("role", "button");
      handle.setAttribute("tabindex", "0");
      handle.setAttribute("aria-label", "Controls");
      handle.addEventListener("keydown", (event) => event.target === handle && event.key === "Enter" && handle.click());
    }
    if (!folded && matchMedia(PHONE).matches) {
      folded = true;
      handle.click();
    }
  };

  /** Where the panel is folded, its status line is shown on the picture. */
  const mirror = () => {
    const status = document.querySelector("#root .splat-status");
    const seen = !status || status.getBoundingClientRect().height > 0;
    const text = seen ? "" : status.innerText || status.textContent;
    if (chip.textContent !== text) chip.textContent = text;
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.title = "Splat";
    document.body.prepend(ours);
    heartbeat.start();
    let due = 0;
    new MutationObserver(() => {
      due ||= setTimeout(() => {
        due = 0;
        for (const work of [fold, name, mirror])
          try {
            work();
          } catch (error) {
            console.warn("splat:", error);
          }
      }, 200);
    }).observe(document.getElementById("root"), { childList: true, subtree: true, characterData: true });
    setInterval(mirror, 1000);
  });
})();
