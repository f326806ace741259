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
  const isSaid = () => document.cookie.split("; ").includes(`time_zone=${zone}`);
  if (zone && !isSaid()) {
    document.cookie = `time_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
    // The page is in another zone, as on the first visit: what people type into it would be read in this one.
    if (isSaid() && root.dataset.zoneFollows !== undefined && root.dataset.zone !== zone) location.reload();
  }
  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("redeliver:theme", apply);
})();
