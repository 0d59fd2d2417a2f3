// Pictures of what channels show, from the golden requests next to this file.
//
//   npm install --prefix DIR adaptivecards@3.0.6 playwright-core@1.60.0
//   node docs/channels/render.mjs DIR
//
// Cards are drawn by Microsoft's own renderer with colours like those of Teams; Slack has no renderer to install, so
// Block Kit is drawn here, the way Slack draws it.
import { createRequire } from "node:module";
import { readFileSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(resolve(process.argv[2] ?? "target/tools/node"), "node_modules");
const { chromium } = createRequire(join(modules, "x.js"))("playwright-core");
const library = readFileSync(join(modules, "adaptivecards/dist/adaptivecards.min.js"), "utf8");

const PICTURES = [
  ["finding-summary.01-scanner-report-critical.en", "finding.en"],
  ["finding-summary.01-scanner-report-critical.de", "finding.de"],
  ["release-update.09-release-failed.en", "release.en"],
];

const font = `font: 15px/1.46 "Lato", "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif`;
const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
// Slack's entities are entities of HTML.
const plain = (text) => escape(text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&"));
const lines = (text) => plain(text).replace(/\n/g, "<br>");

function inline(one) {
  let html = lines(one.text);
  const style = one.style ?? {};
  if (style.code) html = `<code>${html}</code>`;
  if (style.bold) html = `<b>${html}</b>`;
  if (style.italic) html = `<i>${html}</i>`;
  if (style.strike) html = `<s>${html}</s>`;
  return one.type === "link" ? `<a>${html}</a>` : html;
}

function rich(one) {
  const inner = () => one.elements.map(inline).join("");
  switch (one.type) {
    case "rich_text_section": return `<div>${inner()}</div>`;
    case "rich_text_quote": return `<blockquote>${inner()}</blockquote>`;
    case "rich_text_preformatted": return `<pre>${inner()}</pre>`;
    case "rich_text_list": {
      const tag = one.style === "ordered" ? "ol" : "ul";
      return `<${tag} style="margin-left:${(one.indent ?? 0) * 28}px">${one.elements.map((item) => `<li>${rich(item)}</li>`).join("")}</${tag}>`;
    }
  }
  throw new Error(one.type);
}

function field(one) {
  if (one.type === "plain_text") return `<div>${lines(one.text)}</div>`;
  const [, name, value] = one.text.match(/^\*(.*)\*\n([^]*)$/);
  return `<div><b>${plain(name)}</b><br>${lines(value)}</div>`;
}

function block(one) {
  switch (one.type) {
    case "header": return `<div class="header">${plain(one.text.text)}</div>`;
    case "section": return one.fields
      ? `<div class="fields">${one.fields.map(field).join("")}</div>`
      : `<div class="section">${lines(one.text.text)}</div>`;
    case "rich_text": return `<div class="rich">${one.elements.map(rich).join("")}</div>`;
    case "context": return `<div class="context">${one.elements.map((text) => plain(text.text)).join(" ")}</div>`;
    case "actions": return `<div class="actions">${one.elements.map((b) => `<span class="button ${b.style ?? ""}">${plain(b.text.text)}</span>`).join("")}</div>`;
  }
  throw new Error(one.type);
}

function slack(message) {
  const attachment = message.attachments.map((one) =>
    `<div class="attachment"><div class="bar" style="background:${one.color}"></div><div>${one.blocks.map(block).join("")}</div></div>`);
  return `<style>
    body { margin: 0; padding: 16px 20px; width: 640px; ${font}; color: #1d1c1d; background: #fff }
    .message { display: flex; gap: 10px } .who b { margin-right: 6px } .app { font-size: 10px; background: #e8e8e8; color: #616061; padding: 1px 4px; border-radius: 2px; margin-right: 6px } .time { color: #616061; font-size: 12px }
    .face { flex: none; width: 36px; height: 36px; border-radius: 8px; background: #3f51b5; color: #fff; display: grid; place-items: center; font-weight: 700 }
    .header { font-size: 18px; font-weight: 700; margin: 4px 0 8px } .attachment { display: flex; gap: 12px } .bar { flex: none; width: 4px; border-radius: 8px }
    .section, .rich, .fields, .actions { margin: 0 0 10px } .fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px }
    .context { color: #616061; font-size: 12px } ul, ol { margin: 0; padding-left: 26px } blockquote { margin: 4px 0; padding-left: 12px; border-left: 4px solid #ddd }
    pre { background: #f8f8f8; border: 1px solid #ddd; border-radius: 4px; padding: 8px; margin: 4px 0; white-space: pre-wrap } code { font: 12px "DejaVu Sans Mono", monospace; color: #c01343; background: #f8f8f8; border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px }
    .button { display: inline-block; border: 1px solid #bbb; border-radius: 8px; padding: 4px 12px; font-weight: 700; font-size: 13px; margin: 0 8px 4px 0 } .primary { background: #007a5a; border-color: #007a5a; color: #fff } .danger { background: #e01e5a; border-color: #e01e5a; color: #fff } a { color: #1264a3 }
    </style><div class="message"><div class="face">N</div><div><div class="who"><b>Notify Studio</b><span class="app">APP</span><span class="time">07:12</span></div>
    ${message.blocks.map(block).join("")}${attachment.join("")}</div></div>`;
}

function teams(message) {
  const card = JSON.stringify(message.attachments[0].content).replace(/</g, "\\u003c");
  const tint = (background, text) => ({ backgroundColor: background, foregroundColors: { default: { default: text, subtle: "#616161" }, accent: { default: "#4f52b2", subtle: "#4f52b2" } } });
  const config = {
    fontFamily: `"Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif`,
    fontSizes: { small: 12, default: 14, medium: 16, large: 19, extraLarge: 24 },
    fontWeights: { lighter: 300, default: 400, bolder: 600 },
    lineHeights: { small: 16, default: 20, medium: 22, large: 26, extraLarge: 32 },
    spacing: { small: 4, default: 8, medium: 12, large: 20, extraLarge: 28, padding: 14 },
    containerStyles: {
      default: tint("#ffffff", "#242424"), emphasis: tint("#f0f0f0", "#242424"), good: tint("#e7f2da", "#242424"),
      attention: tint("#f9d9d9", "#242424"), warning: tint("#fbe8c8", "#242424"), accent: tint("#e2e4fb", "#242424"),
    },
    actions: { actionsOrientation: "horizontal", actionAlignment: "left", buttonSpacing: 8, maxActions: 6 },
    factSet: { title: { weight: "Bolder", maxWidth: 150, wrap: true }, value: { wrap: true }, spacing: 16 },
  };
  return `<style>
    body { margin: 0; padding: 16px 20px; width: 640px; background: #f5f5f5; font: 14px/1.4 "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; color: #242424 }
    .who { margin: 0 0 6px 2px; font-size: 12px; color: #616161 } #card { background: #fff; border: 1px solid #e0e0e0; border-radius: 6px; overflow: hidden; box-shadow: 0 1px 2px #0002 }
    .ac-pushButton { border: 1px solid #d1d1d1; border-radius: 4px; background: #fff; padding: 5px 12px; font: 600 13px "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; color: #242424 }
    .ac-anchor { color: #4f52b2 } </style><div class="who"><b>Workflows</b> 07:12</div><div id="card"></div>
    <script>${library.replace(/<\/script/g, "<\\/script")}</script>
    <script>const card = new AdaptiveCards.AdaptiveCard(); card.hostConfig = new AdaptiveCards.HostConfig(${JSON.stringify(config)});
    card.parse(${card}); document.getElementById("card").appendChild(card.render());</script>`;
}

const browser = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), "pictures-")), {
  executablePath: "/usr/bin/chromium", headless: true, viewport: { width: 680, height: 400 }, deviceScaleFactor: 1.2,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
for (const [connector, draw] of [["slack", slack], ["teams", teams]]) {
  for (const [golden, name] of PICTURES) {
    const { body } = JSON.parse(readFileSync(join(here, "golden", connector, `${golden}.json`), "utf8"));
    const page = await browser.newPage();
    await page.setContent(draw(body));
    await page.locator("body").screenshot({ path: join(here, `${connector}-${name}.png`) });
    await page.close();
  }
}
await browser.close();
