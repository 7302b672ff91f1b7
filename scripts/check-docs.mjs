// Whether README.md and docs/*.md name what there is: verbs and options of `weir` by its own --help; variables, SQL functions,
// routes, messages, fields of interactions by the sources; names, vars and secrets of the Workers by their wrangler.jsonc; links by the files. Prints
// every fault. Says nothing of what the words mean.
// usage: node scripts/check-docs.mjs     (after `make build`)

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const weir = join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug", "weir");
const text = (path) => readFileSync(join(root, path), "utf8");
const pages = ["README.md", ...readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`)];
const faults = [];

/** What `git grep` finds in tracked files, without the documentation; an empty text for nothing. */
function grep(...words) {
  const sources = ["--", ":!*.md", ":!scripts/check-docs.mjs"];
  try {
    return execFileSync("git", ["grep", "-hI", ...words, ...sources], { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 });
  } catch {
    return "";
  }
}
const foundBy = (pattern) => new Set(grep("-oE", pattern).split("\n"));

/** Blocks of a page by their lines, and its inline code, which may go over the end of a line. */
function codeOf(page) {
  const [lines, prose] = [[], []];
  let fenced = false;
  for (const line of text(page).split("\n")) {
    if (/^\s*```/.test(line)) fenced = !fenced;
    else if (fenced || /^ {4}/.test(line)) lines.push(line);
    else prose.push(line);
  }
  return [...lines, ...[...prose.join(" ").matchAll(/`([^`]+)`/g)].map(([, code]) => code)];
}

const helps = new Map();
/** Verbs and options that `weir ...verbs --help` tells of; null where there is no such verb. */
function help(verbs) {
  const key = verbs.join(" ");
  if (!helps.has(key)) helps.set(key, readHelp(verbs));
  return helps.get(key);
}
function readHelp(verbs) {
  let told;
  try {
    told = execFileSync(weir, [...verbs, "--help"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch (error) {
    if (error.status === undefined || error.status === null) throw new Error(`${weir}: ${error.message}; make build`);
    return null;
  }
  const list = /^Commands:\n((?: .*\n)+)/m.exec(told)?.[1] ?? "";
  return { verbs: [...list.matchAll(/^ {2}(\S+)/gm)].map(([, verb]) => verb), options: new Set(told.match(/--[a-z0-9-]+/g)) };
}

/** `words` after `weir`: verbs, alternatives with ` | ` between, and options. */
function checkCommand(page, words) {
  const shown = `${page}: weir ${words.join(" ")}`;
  const path = [];
  for (let known = help([]); known.verbs.length > 0; known = help(path)) {
    const next = words[path.length];
    if (next === undefined || next.startsWith("-")) break;
    if (!known.verbs.includes(next)) return faults.push(`${shown}: there is no ${next}`);
    path.push(next);
  }
  const above = path.slice(0, -1);
  const siblings = words.filter((word, index) => words[index - 1] === "|" && help(above).verbs.includes(word));
  const options = [path, ...siblings.map((word) => [...above, word])].map((one) => help(one).options);
  for (const word of words) {
    const option = /^\[?(--[a-z0-9-]+)/.exec(word)?.[1];
    if (option && !options.some((known) => known.has(option))) faults.push(`${shown}: there is no ${option}`);
  }
}

const variables = foundBy("WEIR_[A-Z0-9_]+");
const functions = foundBy("function weir\\.[a-z_]+");
for (const page of pages) {
  const whole = text(page);
  for (const line of codeOf(page)) {
    for (const [, rest] of line.matchAll(/(?:^|[;&|(/])\s*weir ([a-z][^`]*)/g)) {
      const words = rest.split(/ #|&&|;|\)|'|"/)[0].trim().split(/\s+/);
      checkCommand(page, words);
    }
  }
  for (const [name] of whole.matchAll(/\bWEIR_[A-Z0-9_]+/g)) {
    const isKnown = name.endsWith("_") ? [...variables].some((known) => known.startsWith(name)) : variables.has(name);
    if (!isKnown) faults.push(`${page}: nothing reads ${name}`);
  }
  for (const [name] of whole.matchAll(/\bweir\.[a-z_]+\b/g)) {
    if (!functions.has(`function ${name}`) && !["weir.control", "weir.so"].includes(name)) faults.push(`${page}: there is no function ${name}`);
  }
  for (const [path, room, ...parts] of whole.matchAll(/\/(internal|v1)\/([a-z_-]+)(?:\/([a-z][a-z_]+))?/g)) {
    const wanted = [`/${room}/${parts[0]}`, parts[1] ?? ""];
    if (wanted.some((part) => grep("-F", part) === "")) faults.push(`${page}: there is no ${path}`);
  }
  for (const [, target] of whole.matchAll(/\]\(([^)#:]+)\)/g)) {
    if (!existsSync(join(root, page, "..", target))) faults.push(`${page}: ${target} is not there`);
  }
}

// What a sender may say, and why an event of theirs is refused.
const interactions = text("docs/interactions.md");
const quoted = (path, pattern) => [...text(path).matchAll(pattern)].map(([, name]) => name);
const told = [
  ...quoted("domain/src/interaction/given.rs", /fields\s*\.\w+\("(\w+)"/g),
  ...quoted("domain/src/interaction/given.rs", /Refusal::new\(\s*"(\w+)"/g),
  ...quoted("domain/src/interaction/given.rs", /Err\(Refusal::new\("(\w+)"/g),
  ...quoted("domain/src/interaction/kind.rs", /=> "(\w+)"/g),
  ...quoted("edge/publication/src/prepare.rs", /(?:Refusal::new\(\s*|KEY_TWICE: &str = )"(\w+)"/g),
  ...quoted("edge/publication/src/batch.rs", /Refusal::new\(\s*\d+,\s*"(\w+)"/g),
];
for (const name of new Set(told)) if (!interactions.includes(`\`${name}\``)) faults.push(`docs/interactions.md: ${name} is not named`);

// What wrangler.jsonc binds has to be created by hand, and is named in the page that says so.
const { unstable_readConfig: read } = createRequire(import.meta.url)("wrangler");
const deploy = text("docs/deploy.md");
for (const worker of ["commerce", "publication", "sync"]) {
  const config = read({ config: join(root, `edge/${worker}/wrangler.jsonc`), env: "production" }, { hideWarnings: true });
  const names = [
    ...config.queues.producers.map(({ queue }) => queue),
    ...(config.queues.consumers ?? []).flatMap(({ queue, dead_letter_queue }) => [queue, dead_letter_queue]),
    ...config.r2_buckets.map(({ bucket_name }) => bucket_name),
    ...config.workflows.map(({ name }) => name),
    ...config.pipelines.map(({ pipeline }) => pipeline),
    ...config.analytics_engine_datasets.map(({ dataset }) => dataset),
  ];
  const wanted = [...names.map((name) => name.replace("production", "$ENV")), ...config.secrets.required, ...Object.keys(config.vars)];
  for (const name of wanted) if (!deploy.includes(name)) faults.push(`docs/deploy.md: ${name} of edge/${worker}/wrangler.jsonc is not named`);
}

// Messages are quoted as they are said; what is filled in is an ellipsis.
const said = text("docs/operate.md").split("## What it says")[1];
for (const [, cell] of said.matchAll(/^\| ([^|]*`[^|]*) \|/gm)) {
  for (const [, message] of cell.matchAll(/`([^`]+)`/g)) {
    for (const part of message.split(/ ?\.\.\. ?/).filter((part) => part.length > 3)) {
      if (grep("-F", part) === "") faults.push(`docs/operate.md: nothing says ${JSON.stringify(part)}`);
    }
  }
}

for (const fault of faults) console.error(fault);
console.log(`${pages.join(", ")}: ${faults.length} faults`);
process.exitCode = faults.length > 0 ? 1 : 0;
