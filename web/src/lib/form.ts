/** The form of a new sandbox, and the request that it makes. */
import type { CreateSandbox, Size } from "../api/types";
import { parseMinutes } from "./time";

export interface Pair {
  name: string;
  value: string;
}

export interface Form {
  name: string;
  repo: string;
  branch: string;
  newBranch: string;
  base: "default" | "coder" | "coder-dind" | "image";
  image: string;
  size: "" | Size;
  env: Pair[];
  secrets: Pair[];
  /** Ids of sign-ins. */
  credentials: string[];
  setup: "repository" | "skip" | "own";
  script: string;
  ports: string;
  stop: string;
  remove: string;
  prompt: string;
  agent: string;
}

export const EMPTY: Form = {
  name: "",
  repo: "",
  branch: "",
  newBranch: "",
  base: "default",
  image: "",
  size: "",
  env: [],
  secrets: [],
  credentials: [],
  setup: "repository",
  script: "",
  ports: "",
  stop: "30",
  remove: "",
  prompt: "",
  agent: "",
};

export interface SignIn {
  id: string;
  kind: string;
  name: string;
  type: "oauth" | "api_key";
}

/** The kinds of sign-ins as a request names them. */
const KIND: Record<string, string> = { "opencode-auth": "opencode" };

/** What is asked of the server. What was left empty is left out, so that the repository's settings and its file decide. */
export function request(form: Form, signIns: SignIn[]): CreateSandbox {
  const text = (value: string) => (value.trim() === "" ? undefined : value.trim());
  const pairs = (all: Pair[]) => {
    const named = all.filter((it) => it.name.trim() !== "");
    return named.length === 0 ? undefined : Object.fromEntries(named.map((it) => [it.name.trim(), it.value]));
  };
  const ports = form.ports.split(/[\s,]+/).filter(Boolean);
  const chosen = signIns.filter((it) => form.credentials.includes(it.id));
  const stop = parseMinutes(form.stop);
  const remove = parseMinutes(form.remove);
  const made: CreateSandbox = {
    name: text(form.name),
    repo_url: text(form.repo),
    branch: text(form.branch),
    new_branch_name: text(form.newBranch),
    preset: form.base === "coder" || form.base === "coder-dind" ? form.base : undefined,
    image: form.base === "image" ? text(form.image) : undefined,
    size: form.size === "" ? undefined : form.size,
    env_vars: pairs(form.env),
    secret_env_vars: pairs(form.secrets.filter((it) => it.value !== "")),
    agent_credentials: chosen.length === 0 ? undefined : chosen.map((it) => ({ kind: KIND[it.kind] ?? it.kind, name: it.name, type: it.type })),
    skip_setup_script: form.setup === "skip" ? true : undefined,
    setup_script_text: form.setup === "own" ? form.script : undefined,
    ports: ports.length === 0 ? undefined : ports,
    auto_stop_interval: stop === null || stop === 30 ? undefined : stop,
    auto_delete_interval: form.remove.trim() === "" || remove === null ? undefined : remove,
    initial_prompt: text(form.prompt),
    agent: text(form.agent),
  };
  return JSON.parse(JSON.stringify(made)) as CreateSandbox;
}

/** What is wrong with times, which the server is given as numbers alone. */
export function wrongTime(text: string, mayBeEmpty: boolean): string | undefined {
  if (text.trim() === "" && mayBeEmpty) return undefined;
  return parseMinutes(text) === null ? "A number of minutes, or a time such as 2h or 1d" : undefined;
}
