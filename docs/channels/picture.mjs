// Pictures of HTML files with headless Chromium: node picture.mjs OUT.png FILE.html [WIDTH [HEIGHT [dark]]]
// Needs Debian's chromium; no package of npm. Nothing is loaded from a network: the files hold all they need.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const [out, file, width = "720", height = "1000", scheme = "light"] = process.argv.slice(2);
if (!out || !file) {
  console.error("usage: node picture.mjs OUT.png FILE.html [WIDTH [HEIGHT [dark]]]");
  process.exit(2);
}
const profile = mkdtempSync(join(tmpdir(), "picture-"));
const flags = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--hide-scrollbars", `--user-data-dir=${profile}`,
  `--window-size=${width},${height}`, `--screenshot=${resolve(out)}`,
];
if (scheme === "dark") flags.push("--blink-settings=preferredColorScheme=0");
const run = spawnSync("/usr/bin/chromium", [...flags, `file://${resolve(file)}`], { stdio: "ignore", timeout: 60000 });
rmSync(profile, { recursive: true, force: true });
process.exit(run.status ?? 1);
