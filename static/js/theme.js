// Before the first paint: mark that scripts run, resolve "auto" to the system's theme, and tell the browser's time zone.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const chosen = root.dataset.theme;
    root.dataset.bsTheme = chosen === "light" || chosen === "dark" ? chosen : dark.matches ? "dark" : "light";
  };
  root.classList.add("js");
  // dashboard/middleware/time_zones.py reads it for people who chose no time zone.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const said = () => document.cookie.split("; ").find((one) => one.startsWith("time_zone="))?.slice(10);
  const before = said();
  if (zone && before !== zone) {
    document.cookie = `time_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
    // On the first visit the page is in UTC: what people type into it would be read in this zone. Later on nothing is
    // loaded again, because a page may be one that is shown once.
    if (!before && said() === zone && root.dataset.zoneFollows !== undefined && root.dataset.zone !== zone) location.reload();
  }
  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("redeliver:theme", apply);
})();
