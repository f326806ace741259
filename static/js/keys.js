// Keyboard: single-key shortcuts, moving through rows, and the two dialogs (search and the list of shortcuts).
// Every target is a link or button on the page: focus is the only state.
"use strict";
(() => {
  const CHORD_MS = 1500;
  const TIMES = "main :is(time[title], [data-utc])";
  const ROWS = "main tr[data-row] .row-link, main .inbox > [data-row] :is(h2, h3) a";

  // --- On or off, in this browser ------------------------------------------------------------------------------------
  const kept = () => { try { return localStorage.getItem("keys"); } catch { return null; } }; // storage may be forbidden
  const isOn = () => kept() !== "off";
  const keep = (on) => { try { localStorage.setItem("keys", on ? "on" : "off"); } catch { /* the choice lasts for this page only */ } };
  for (const box of document.querySelectorAll("[data-keys-switch]")) {
    box.checked = isOn();
    box.addEventListener("change", () => keep(box.checked));
  }

  // --- Dialogs -------------------------------------------------------------------------------------------------------
  const open = (id) => {
    const dialog = document.getElementById(id);
    if (!dialog) return false;
    for (const other of document.querySelectorAll("dialog[open]")) if (other !== dialog) other.close();
    if (!dialog.open) dialog.showModal();
    dialog.querySelector("[data-search]")?.select();
    return true;
  };
  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-opens]");
    if (opener && !event.ctrlKey && !event.metaKey && !event.shiftKey && open(opener.dataset.opens)) event.preventDefault();
    if (event.target.matches?.("dialog")) event.target.close(); // its backdrop
    if (event.target.closest?.("[data-closes]")) event.target.closest("dialog").close();
  });

  // --- Search --------------------------------------------------------------------------------------------------------
  const search = () => {
    const field = document.querySelector("main [data-search]");
    if (!field) return open("search");
    field.select();
    return true;
  };
  const secretIn = (field) => field.dataset.secrets.split(" ").find((start) => field.value.includes(start));
  // Until the results for the current text arrive, Enter must not open results of an earlier text.
  const waiting = (field) => field.dataset.answered !== field.value;
  document.addEventListener("htmx:configRequest", (event) => {
    if (!event.detail.elt.matches("[data-search]")) return;
    const start = secretIn(event.detail.elt);
    if (start) event.detail.parameters.q = start; // only the prefix, never the secret
    event.detail.elt.dataset.asked = event.detail.elt.value;
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const field = event.detail.requestConfig?.elt;
    if (field?.matches("[data-search]")) field.dataset.answered = field.dataset.asked;
  });
  document.addEventListener("submit", (event) => {
    const field = event.target.querySelector?.("[data-search]");
    if (!field) return;
    const first = event.target.parentElement.querySelector("[data-hit]");
    if (secretIn(field)) event.preventDefault(); // the secret would be in the URL
    else if (first && !waiting(field) && event.target.closest("dialog")) { event.preventDefault(); first.click(); }
  });
  const choose = (event) => {
    const box = event.target.closest(".palette");
    const places = [...box.querySelectorAll("[data-search], [data-hit]")];
    const next = places[places.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1)];
    if (!next) return;
    event.preventDefault();
    next.focus();
  };

  // --- Rows ----------------------------------------------------------------------------------------------------------
  const row = (step) => {
    const links = [...document.querySelectorAll(ROWS)].filter((link) => link.getClientRects().length);
    if (!links.length) return false;
    const now = document.activeElement.closest?.("[data-row]");
    const here = links.findIndex((link) => now?.contains(link));
    const next = here < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(here + step, 0), links.length - 1);
    links[next].focus({ focusVisible: true });
    links[next].scrollIntoView({ block: "nearest" });
    return true;
  };
  // Times are not in the tab order, which would be useless with hundreds of them: a key goes from one to the next.
  const time = (step) => {
    const times = [...document.querySelectorAll(TIMES)].filter((one) => one.getClientRects().length);
    if (step < 0) times.reverse();
    const side = step < 0 ? Node.DOCUMENT_POSITION_PRECEDING : Node.DOCUMENT_POSITION_FOLLOWING;
    const next = times.find((one) => document.activeElement.compareDocumentPosition(one) & side) ?? times[0];
    if (!next) return false;
    next.tabIndex = -1;
    next.focus({ focusVisible: true, preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
    return true;
  };
  const more = () => {
    const button = document.activeElement.closest?.("[data-row]")?.querySelector("[data-more]");
    button?.click();
    return Boolean(button);
  };
  // A delivery's attempts below its row: the first press loads them (hx-get), then they poll.
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-more]");
    if (!button) return;
    const below = document.getElementById(button.getAttribute("aria-controls"));
    below.hidden = !below.hidden;
    button.setAttribute("aria-expanded", String(!below.hidden));
  });

  // --- Keys ----------------------------------------------------------------------------------------------------------
  const KEYS = { "/": search, "?": () => open("keys"), j: () => row(1), k: () => row(-1), o: more, t: () => time(1), T: () => time(-1) };
  let chordSince = -Infinity;
  const isTyping = (element) => element.isContentEditable || element.matches("input:not([type=checkbox], [type=radio]), textarea, select");
  const go = (letter) => {
    const link = document.querySelector(`[data-go="${CSS.escape(letter)}"]`);
    link?.click();
    return Boolean(link);
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
    const isArrow = event.key === "ArrowDown" || event.key === "ArrowUp";
    if (isArrow && event.target.matches("[data-search], [data-hit]")) return choose(event);
    if (isTyping(event.target) || !isOn() || document.querySelector("dialog[open]")) return;
    const inChord = event.timeStamp - chordSince < CHORD_MS;
    chordSince = -Infinity;
    if (inChord ? go(event.key) : isArrow && event.target.matches(ROWS) ? row(event.key === "ArrowDown" ? 1 : -1) : KEYS[event.key]?.()) return event.preventDefault();
    if (event.key === "g" && !event.repeat) chordSince = event.timeStamp;
  });
})();
