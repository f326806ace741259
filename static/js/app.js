// Features that need a script: polling (paused while the tab is hidden), live relative times, copying, the theme.
// Everything else on the pages works without it.
"use strict";
(() => {
  const POLL_MS = 3000;
  const NEWS_MS = 1000; // delay before a refreshing page polls for the result
  const SECOND = 1000;
  const FLASH_MS = 2500;

  // --- Polling -----------------------------------------------------------------------------------------------------
  const poll = () => {
    if (document.hidden) return;
    for (const part of document.querySelectorAll("[data-poll]")) {
      if (!part.classList.contains("htmx-request") && !part.closest("[hidden]")) htmx.trigger(part, "redeliver:poll");
    }
  };
  setInterval(poll, POLL_MS);
  document.addEventListener("visibilitychange", poll);
  if (document.querySelector("[data-refreshing]")) setTimeout(poll, NEWS_MS);

  const isPolled = (event) => event.detail.elt.matches?.("[data-poll]");
  const lost = (yes) => {
    const line = document.getElementById("lost");
    if (line.hidden === yes) line.hidden = !yes;
  };
  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.addEventListener(name, (event) => {
      if (!isPolled(event)) return explain(event);
      if ([403, 404].includes(event.detail.xhr?.status)) return location.reload(); // access was lost: the reloaded page says so
      lost(true);
    });
  }
  document.addEventListener("htmx:afterOnLoad", (event) => {
    if (isPolled(event) && event.detail.successful !== false) lost(false);
  });

  // Show "your role does not allow this" or "out of date" in place of the answer; no other 403 is a page fragment.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.getResponseHeader("X-Not-Allowed")) Object.assign(event.detail, { shouldSwap: true, isError: false });
  });

  // Explain a failed request in place of the button's answer.
  const explain = (event) => {
    const box = event.detail.target;
    const status = event.detail.xhr?.status;
    if (!box?.matches("[data-answer], #demo-switch")) return;
    const text = document.createElement("p");
    text.className = "outcome outcome-unknown";
    text.textContent = status
      ? `Redeliver failed (${status}). Reload the page and check the activity before you try again.`
      : "Redeliver did not respond, so the request may or may not have reached OpenTrain. Reload the page and check the activity before you try again.";
    box.replaceChildren(text);
  };

  // --- What a poll must not change, and which rows it highlights ---------------------------------------------------
  const changed = new Set();
  const seen = new WeakMap(); // not on the elements: a morph removes attributes that the response lacks
  Object.assign(Idiomorph.defaults.callbacks, {
    beforeNodeMorphed: (old) => !(old instanceof Element) || !old.matches("[data-keep], .htmx-request"),
    beforeNodeRemoved: (old) => !(old instanceof Element) || !old.matches(".htmx-request"),
    beforeAttributeUpdated: (name, node) => !(name === "open" && node.matches("details, dialog")) && !(name === "tabindex" && node === document.activeElement) && !(name === "aria-expanded" && node.matches("[data-more]")),
    afterNodeAdded: (node) => { if (node instanceof Element && node.matches("[data-row]")) changed.add(node); },
    afterNodeMorphed: (old) => { if (seen.has(old) && seen.get(old) !== old.dataset.row) changed.add(old); },
  });
  // An element with a pending request ignores other responses and shows only its own.
  document.addEventListener("htmx:beforeSwap", (event) => event.detail.requestConfig.elt.classList.remove("htmx-request"));
  const remember = () => {
    for (const row of document.querySelectorAll("[data-row]")) seen.set(row, row.dataset.row);
  };
  remember();
  const flash = () => {
    for (const row of changed) {
      row.classList.add("flash");
      setTimeout(() => row.classList.remove("flash"), FLASH_MS); // with reduced motion there is no animationend event
    }
    changed.clear();
  };
  // Pressing a button disables it, and some buttons disappear (Re-enable). Keep keyboard focus in both cases.
  let pressed = null;
  document.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.elt.matches("[data-action]")) pressed = document.activeElement; });
  const refocus = () => {
    if (!pressed || document.activeElement !== document.body) return;
    if (pressed.isConnected && pressed.checkVisibility()) return pressed.focus({ preventScroll: true });
    const answer = document.getElementById("answer");
    pressed = null;
    if (!answer) return;
    answer.tabIndex = -1;
    answer.focus({ preventScroll: true });
  };
  document.addEventListener("htmx:afterSettle", () => { flash(); remember(); count(); refocus(); });

  // --- The server's clock: the browser's may be minutes off ----------------------------------------------------------
  // A page carries the server's time in ms; each poll's Date header says it in whole seconds. What is kept is how far the
  // server's clock is ahead, corrected when a poll contradicts it: the browser's clock may change while the page is open.
  const loaded = performance.getEntriesByType("navigation")[0];
  let ahead = Number(document.documentElement.dataset.now) - Date.now() + (loaded ? performance.now() - loaded.responseStart : 0);
  const serverNow = () => Date.now() + ahead;
  const sentAt = new WeakMap();
  document.addEventListener("htmx:beforeSend", (event) => sentAt.set(event.detail.xhr, Date.now()));
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const { xhr } = event.detail;
    const said = Date.parse(xhr.getResponseHeader("Date"));
    if (Number.isNaN(said) || !sentAt.has(xhr)) return;
    ahead = Math.min(Math.max(ahead, said - Date.now()), said + SECOND - sentAt.get(xhr));
  });

  // --- Times: same wording as dashboard/rules/durations.py ------------------------------------------------------------------
  const span = (ms) => {
    const seconds = Math.floor(ms / SECOND);
    if (seconds >= 172800) return `${Math.floor(seconds / 86400)} days`;
    if (seconds >= 7200) return `${Math.floor(seconds / 3600)} h`;
    if (seconds >= 120) return `${Math.floor(seconds / 60)} min`;
    return `${seconds} s`;
  };
  const words = (then, now) => {
    if (then > now) return `in about ${span(then - now)}`;
    return now - then < SECOND ? "just now" : `${span(now - then)} ago`;
  };
  const count = () => {
    const now = serverNow();
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = words(Date.parse(time.dateTime), now);
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(() => { if (!document.hidden) count(); }, SECOND);

  // A tap or the focus shows the exact UTC of a time, which a pointer shows as its title. keys.js moves the focus.
  const told = document.getElementById("told");
  const tell = ({ target }) => {
    const time = target.closest?.("time[title], [data-utc]");
    told.hidden = !time;
    if (time) told.textContent = time.title;
  };
  document.addEventListener("click", tell);
  document.addEventListener("focusin", tell);
  document.addEventListener("keydown", ({ key }) => { if (key === "Escape") told.hidden = true; });

  // All times in UTC, and back, until the browser is closed. Parts of a page keep its zone, whatever another tab chose.
  document.addEventListener("click", ({ target }) => {
    const zone = target.closest?.("[data-shows-zone]")?.dataset.showsZone;
    if (!zone) return;
    document.cookie = `times_in_utc=1; path=/; samesite=lax${zone === "UTC" ? "" : "; max-age=0"}`;
    location.reload();
  });
  const inItsZone = { "X-Time-Zone": document.documentElement.dataset.zone };
  document.addEventListener("htmx:configRequest", ({ detail }) => Object.assign(detail.headers, inItsZone));

  // A picker beside each field of a time. The field stays: it takes more than a picker can say, such as "2h ago".
  const icons = document.querySelector("svg.icon > use")?.getAttribute("href").split("#")[0];
  for (const field of document.querySelectorAll("input[data-moment]")) {
    const label = document.querySelector(`label[for="${field.id}"]`) ?? field.closest("label");
    const part = field.closest("label") ?? field;
    const box = document.createElement("div");
    const button = document.createElement("button");
    const picker = document.createElement("input");
    if (!picker.showPicker) break;
    box.className = "moment";
    Object.assign(button, { type: "button", className: "moment-open", title: "Pick a time" });
    button.setAttribute("aria-label", `Pick a time: ${label.textContent.replace(/\(.*\)/, "").trim()}`);
    button.innerHTML = `<svg class="icon" width="20" height="20" aria-hidden="true"><use href="${icons}#clock"></use></svg>`;
    Object.assign(picker, { type: "datetime-local", className: "moment-picker", tabIndex: -1, ariaHidden: "true" });
    button.addEventListener("click", () => {
      const shown = field.value.match(/^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)/);
      picker.value = shown ? `${shown[1]}T${shown[2]}` : "";
      picker.showPicker();
    });
    picker.addEventListener("change", () => {
      field.value = picker.value.replace("T", " ");
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.focus();
    });
    part.replaceWith(box);
    box.append(part, button, picker);
  }

  // --- How much is in the inbox: in the navigation, and in the inbox's title ----------------------------------------
  // The inbox's own polls bring its count. Other pages ask for it, not by htmx: once the session has ended, that would
  // lead from a form that is being filled in to the sign-in page.
  const COUNT_MS = 15 * SECOND;
  const bar = document.getElementById("inbox-count");
  const inboxTitle = document.title.replace(/^\([^)]*\) /, "");
  const ask = async () => {
    if (document.hidden) return;
    const response = await fetch(bar.dataset.from, { redirect: "manual" }).catch(() => null);
    if (response?.ok) bar.innerHTML = await response.text();
    else if (response) bar.replaceChildren(); // signed out: the number is no longer known
  };
  if (bar?.dataset.from) {
    ask();
    setInterval(ask, COUNT_MS);
    document.addEventListener("visibilitychange", ask);
  }
  document.addEventListener("htmx:afterSettle", () => {
    const now = document.getElementById("inbox-count-now");
    if (!bar || !now) return;
    bar.innerHTML = now.innerHTML;
    const number = bar.querySelector("[data-inbox-count]")?.dataset.inboxCount;
    document.title = number ? `(${number}) ${inboxTitle}` : inboxTitle;
  });

  // A page that is polled says more than when it was opened: what is printed says when it was printed.
  addEventListener("beforeprint", () => {
    const at = new Date(serverNow()).toISOString().replace("T", " ").replace(/\..*/, "");
    for (const line of document.querySelectorAll("[data-printed]")) line.textContent = `Printed at ${at} UTC.`;
  });

  // --- Buttons -----------------------------------------------------------------------------------------------------
  // Pages on plain http have no clipboard API, and a browser may refuse it: then the older command. Returns whether the
  // text is on the clipboard.
  const copyText = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return copyByCommand(text);
    }
  };
  const copyByCommand = (text) => {
    const before = document.activeElement;
    const area = document.createElement("textarea"); // some browsers copy only while something is selected
    area.className = "visually-hidden";
    area.value = "-";
    let wasSet = false;
    const set = (event) => {
      event.clipboardData.setData("text/plain", text); // exact: a textarea changes line ends
      event.preventDefault();
      wasSet = true;
    };
    area.addEventListener("copy", set);
    (before?.closest("dialog") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus({ preventScroll: true });
    return done && wasSet;
  };
  // When nothing copies: show the text selected, and say what to press.
  const copyByHand = (text) => {
    const dialog = document.getElementById("copy-by-hand");
    const area = dialog.querySelector("textarea");
    area.value = text;
    area.oncopy = (event) => {
      if (area.selectionEnd - area.selectionStart < area.value.length) return;
      event.clipboardData.setData("text/plain", text);
      event.preventDefault();
    };
    dialog.onclose = () => { area.value = ""; };
    dialog.showModal();
    area.select();
  };
  const copyOrShow = async (button, text) => {
    if (!await copyText(text)) return copyByHand(text);
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
  };
  // A link to a text that is made when it is asked for. If that fails (the session has expired), follow the link.
  const textAt = async (url) => {
    const response = await fetch(url, { headers: inItsZone });
    const isText = response.headers.get("Content-Type")?.startsWith("text/plain");
    if (!response.ok || response.redirected || !isText) throw new Error(`No text at ${url}`);
    return response.text();
  };
  document.addEventListener("click", async (event) => {
    const link = event.target.closest?.("a[data-copy-from]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    let text;
    try {
      text = await textAt(link.dataset.copyFrom);
    } catch {
      return location.assign(link.href);
    }
    await copyOrShow(link, text);
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button");
    if (!button) return;
    if (button.dataset.copy !== undefined) {
      await copyOrShow(button, button.dataset.copy);
    } else if (button.matches("[data-print]")) {
      print();
    } else if (button.matches("[data-theme-toggle]")) {
      nextTheme();
    } else if (button.matches("[data-check-all], [data-check-none]")) {
      const yes = button.matches("[data-check-all]");
      for (const box of button.closest("[data-checks]").querySelectorAll("input[type=checkbox]")) box.checked = yes;
    }
  });
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  // A button in a menu: its answer appears on the page, so the menu makes room.
  document.addEventListener("htmx:afterRequest", (event) => {
    const menu = event.detail.elt.matches("[data-action]") && event.detail.elt.closest("details.menu");
    if (menu) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
  });

  // Busy: tell screen readers, and prevent a second submission of a form that leaves the page.
  document.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.elt.matches("[data-action]")) event.detail.elt.setAttribute("aria-busy", "true"); });
  document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.elt.matches("[data-action]")) event.detail.elt.removeAttribute("aria-busy"); });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-action]:not([hx-post])")) return;
    if (form.getAttribute("aria-busy") === "true") return event.preventDefault();
    form.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => { for (const form of document.querySelectorAll("[aria-busy]")) form.removeAttribute("aria-busy"); });

  // A set-password link carries its code after the #, which no server sees. Send it in the form, and take it out of the URL.
  const fromHash = document.querySelector("[data-from-hash]");
  if (fromHash && location.hash.length > 1) {
    fromHash.querySelector("input[name=code]").value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    fromHash.requestSubmit();
  }

  // --- Theme ---------------------------------------------------------------------------------------------------------
  const THEMES = { auto: "automatic", light: "light", dark: "dark" };
  const nameTheme = () => {
    const chosen = document.documentElement.dataset.theme;
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.title = `Colour theme: ${THEMES[chosen]}`;
      button.setAttribute("aria-label", button.title);
    }
  };
  const nextTheme = () => {
    const root = document.documentElement;
    const names = Object.keys(THEMES);
    root.dataset.theme = names[(names.indexOf(root.dataset.theme) + 1) % names.length];
    document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    document.dispatchEvent(new Event("redeliver:theme"));
    nameTheme();
  };

  nameTheme();
  remember();
  count();
})();
