/** A repository at a URL: git's own files, served as they are. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, createReadStream, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join, normalize } from "node:path";

const CONFIG = `[lifecycle]
setup_script = "setup.sh"

[env]
CURRENCY = "EUR"

[services.shop]
port = 8000
url_scheme = "http"
`;

/** A branch with a service that Amika runs. */
const RUNS = `[services.ticker]
command = "while :; do echo tick; sleep 1; done"
ready = "log:tick"
`;

const SETUP = `#!/bin/sh
echo "preparing the shop"
# Who greets wants to see it run, and says when that was seen.
[ -z "$GREETING" ] || until [ -e /tmp/seen ]; do sleep 0.1; done
echo "shop is prepared"
`;

export async function serveRepository(directory) {
  const work = join(directory, "work");
  const git = (...args) => execFileSync("git", args, { cwd: work, stdio: "pipe", env: { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@example.com", GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@example.com" } });
  mkdirSync(join(work, ".amika"), { recursive: true });
  writeFileSync(join(work, ".amika/config.toml"), CONFIG);
  writeFileSync(join(work, "setup.sh"), SETUP);
  writeFileSync(join(work, "index.html"), "<h1>Shop</h1>");
  chmodSync(join(work, "setup.sh"), 0o755);
  git("init", "-q", "-b", "main");
  git("add", ".");
  git("commit", "-q", "-m", "Open the shop");
  git("branch", "sale");
  git("switch", "-q", "-c", "ticker");
  writeFileSync(join(work, ".amika/config.toml"), RUNS);
  git("commit", "-q", "-a", "-m", "Tick");
  git("switch", "-q", "main");
  git("clone", "-q", "--bare", ".", join(directory, "shop.git"));
  execFileSync("git", ["update-server-info"], { cwd: join(directory, "shop.git") });
  const server = http.createServer((request, response) => {
    const path = join(directory, normalize(new URL(request.url, "http://h").pathname));
    if (!path.startsWith(join(directory, "shop.git")) || !statSync(path, { throwIfNoEntry: false })?.isFile()) return response.writeHead(404).end();
    createReadStream(path).pipe(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}/shop.git`,
    end: () => {
      server.close();
      server.closeAllConnections();
      rmSync(work, { recursive: true, force: true });
    },
  };
}
