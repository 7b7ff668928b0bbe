// Bundles each src/*.js into DIST/NAME-HASH.js, and writes manifest.json and LICENSES.txt beside.
//   node build.js DIST    (working directory: where src and node_modules are)
// The same sources give the same bytes: names and hashes know only paths below this directory.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { build } from "esbuild";

const dist = resolve(process.argv[2]);
const entries = readdirSync("src").filter((name) => name.endsWith(".js")).sort();
const done = await build({
  absWorkingDir: process.cwd(),
  entryPoints: entries.map((name) => join("src", name)),
  outdir: dist,
  entryNames: "[name]-[hash]",
  bundle: true, // each whole in itself: see beanft/assets.py for why none shares a chunk
  format: "esm",
  target: ["chrome100", "firefox100", "safari15"],
  minify: true,
  legalComments: "none", // they are in LICENSES.txt
  metafile: true,
  logLevel: "warning",
});

mkdirSync(dist, { recursive: true });
const manifest = {};
for (const [path, output] of Object.entries(done.metafile.outputs)) {
  if (output.entryPoint) manifest[basename(output.entryPoint)] = basename(path);
}
const sorted = Object.fromEntries(Object.entries(manifest).sort());
writeFileSync(join(dist, "manifest.json"), `${JSON.stringify(sorted, null, 2)}\n`);

const packages = new Set();
for (const path of Object.keys(done.metafile.inputs)) {
  const found = path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//);
  if (found) packages.add(found[1]);
}
const texts = [...packages].sort().map((name) => {
  const folder = join("node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).sort().find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} comes without its license's text: don't bundle it`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
});
writeFileSync(join(dist, "LICENSES.txt"), texts.join(`\n${"-".repeat(80)}\n\n`));
