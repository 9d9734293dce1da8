import { describe, expect, it } from "vitest";

import { EventReader } from "../../api/sse";
import type { Sandbox, Stats } from "../../api/types";
import { shown, type Filter } from "../filter";
import { EMPTY, request, wrongTime } from "../form";
import { add } from "../samples";
import { merged } from "../steps";

describe("server-sent events", () => {
  it("are read whatever the pieces are", () => {
    const text = 'id: 1-1\nevent: begin\ndata: {"a":1}\n\n: alive\n\nevent: x\ndata: 1\ndata: 2\n\n';
    for (let size = 1; size < text.length; size += 1) {
      const reader = new EventReader();
      const found = [];
      for (let at = 0; at < text.length; at += size) found.push(...reader.push(text.slice(at, at + size)));
      expect(found).toEqual([
        { id: "1-1", name: "begin", data: '{"a":1}' },
        { id: "1-1", name: "x", data: "1\n2" },
      ]);
    }
  });
});

function sandbox(name: string, change: Partial<Sandbox>): Sandbox {
  return { name, id: name, state: "started", created_by: { name: "me" }, created_at: "2026-01-01T00:00:00Z", user_id: "me", ...change } as Sandbox;
}

describe("the list", () => {
  const all = [
    sandbox("a", { created_at: "2026-01-02T00:00:00Z", repo_url: "https://github.com/o/shop" }),
    sandbox("b", { created_at: "2026-01-03T00:00:00Z", state: "failed", user_id: "other" }),
    sandbox("c", { state: "stopped", branch: "fix-Tax", last_active_at: "2026-01-05T00:00:00Z" }),
  ];
  const names = (change: Partial<Filter>) => shown(all, { text: "", state: "all", sort: "newest", mine: false, ...change }, { id: "me" }).map((it) => it.name);

  it("is sorted", () => {
    expect(names({})).toEqual(["b", "a", "c"]);
    expect(names({ sort: "name" })).toEqual(["a", "b", "c"]);
    expect(names({ sort: "active" })).toEqual(["c", "a", "b"]);
    expect(names({ sort: "state" })).toEqual(["b", "a", "c"]);
  });

  it("is searched by every word, whatever the case", () => {
    expect(names({ text: "TAX fix" })).toEqual(["c"]);
    expect(names({ text: "shop" })).toEqual(["a"]);
    expect(names({ text: "shop nothing" })).toEqual([]);
    expect(names({ state: "bad" })).toEqual(["b"]);
    expect(names({ mine: true })).toEqual(["a", "c"]);
  });
});

describe("the request of a form", () => {
  it("leaves out what was left empty", () => {
    expect(request(EMPTY, [])).toEqual({});
  });

  it("has what was filled in", () => {
    const form = { ...EMPTY, name: " fix ", base: "image" as const, image: "debian", env: [{ name: "A", value: "" }, { name: "", value: "x" }], secrets: [{ name: "T", value: "token" }, { name: "U", value: "" }], credentials: ["1"], setup: "skip" as const, ports: "8080:80, 3000", stop: "2h", remove: "0" };
    expect(request(form, [{ id: "1", kind: "opencode-auth", name: "work", type: "oauth" }, { id: "2", kind: "claude", name: "x", type: "oauth" }])).toEqual({
      name: "fix",
      image: "debian",
      env_vars: { A: "" },
      secret_env_vars: { T: "token" },
      agent_credentials: [{ kind: "opencode", name: "work", type: "oauth" }],
      skip_setup_script: true,
      ports: ["8080:80", "3000"],
      auto_stop_interval: 120,
      auto_delete_interval: 0,
    });
    expect(wrongTime("soon", true)).toContain("minutes");
    expect(wrongTime("", true)).toBeUndefined();
  });
});

describe("steps", () => {
  const step = (id: number, name: string, status: string) => ({ id, run_kind: "create", step: name, status, created_at: "" });

  it("are one line each, their end in the place of their beginning", () => {
    const lines = merged([step(1, "clone", "started"), step(2, "clone", "warning"), step(3, "clone", "succeeded"), step(4, "setup", "started")]);
    expect(lines.map((it) => [it.step, it.status])).toEqual([["clone", "succeeded"], ["clone", "warning"], ["setup", "started"]]);
  });

  it("that never ended do not run for ever", () => {
    expect(merged([step(1, "clone", "started"), step(2, "create", "failed")]).map((it) => it.status)).toEqual(["failed"]);
  });
});

describe("samples", () => {
  const stats = (time: number, received: number) => ({ time, cpu_percent: 5, memory_bytes: 1, network_received_bytes: received, network_sent_bytes: 0, disk_read_bytes: 0, disk_written_bytes: 0 }) as Stats;

  it("make rates of counters, also where a counter began anew, and do not grow", () => {
    let samples = add(add(null, stats(1000, 100)), stats(3000, 300));
    expect(samples.received).toEqual([0, 100]);
    samples = add(samples, stats(4000, 50));
    expect(samples.received).toEqual([0, 100, 0]);
    expect(add(samples, stats(4000, 50))).toBe(samples);
    for (let at = 5; at < 2000; at += 1) samples = add(samples, stats(at * 1000, at));
    expect(samples.times).toHaveLength(900);
  });
});
