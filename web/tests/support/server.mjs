/** A real `amika server` with a directory of its own; the engine is reached through a socket that a test can close. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const ENGINE = (process.env.DOCKER_HOST ?? "unix:///var/run/docker.sock").replace("unix://", "");

/** The engine's socket at another path, so that the engine can be gone for this server alone. */
class Engine {
  constructor(path) {
    this.path = path;
    this.sockets = new Set();
  }

  async open() {
    this.server = net.createServer({ allowHalfOpen: true }, (inner) => {
      const outer = net.connect({ path: ENGINE, allowHalfOpen: true });
      for (const [from, to] of [[inner, outer], [outer, inner]]) {
        this.sockets.add(from);
        from.pipe(to);
        from.on("error", () => to.destroy());
        from.on("close", () => { this.sockets.delete(from); to.destroy(); });
      }
    });
    this.server.listen(this.path);
    await once(this.server, "listening");
  }

  async close() {
    const closed = once(this.server, "close");
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

export class Server {
  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), "amika-page-"));
    this.engine = new Engine(join(this.directory, "engine.sock"));
    this.port = 0;
  }

  async start() {
    this.process = spawn(
      process.env.AMIKA,
      ["server", "--listen", `127.0.0.1:${this.port}`, "--data", join(this.directory, "data"), "--allow-private-git", "-o", "json"],
      { env: { ...process.env, DOCKER_HOST: `unix://${this.engine.path}` }, stdio: ["ignore", "pipe", "ignore"] },
    );
    const [line] = await once(createInterface(this.process.stdout), "line");
    const told = JSON.parse(line);
    this.address = told.address;
    this.port = Number(new URL(told.address).port);
    this.key ??= told.api_key;
    this.link ??= told.sign_in_url;
  }

  async stop() {
    const ended = once(this.process, "exit");
    this.process.kill("SIGTERM");
    await ended;
  }

  /** The API, as the first administrator. */
  async ask(method, path, body, key = this.key) {
    const response = await fetch(`${this.address}/api/v0beta1${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  /** What a program writes in a sandbox. */
  async exec(sandbox, script) {
    return this.ask("POST", `/sandboxes/${sandbox}/exec`, { cmd: ["sh", "-c", script] });
  }

  async end() {
    for (const { id } of await this.ask("GET", "/sandboxes")) await this.ask("DELETE", `/sandboxes/${id}?force=true`).catch(() => undefined);
    await this.stop();
    await this.engine.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export async function startServer() {
  const server = new Server();
  await server.engine.open();
  await server.start();
  return server;
}
