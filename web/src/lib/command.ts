/** What does the same as the form: a command line, and curl. */
import type { CreateSandbox } from "../api/types";

/** A word as a POSIX shell takes it for one. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_\-+=:,./@%]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** `amika sandbox create --remote …`; null where the request has what the command line has no option for. */
export function commandLine(request: CreateSandbox): { command: string; without: string[] } {
  const words = ["amika", "sandbox", "create", "--remote"];
  const without: string[] = [];
  const option = (name: string, value: string | null | undefined) => {
    if (value !== null && value !== undefined && value !== "") words.push(name, quote(value));
  };
  option("--name", request.name);
  option("--git", request.repo_url);
  option("--branch", request.branch);
  option("--new-branch", request.new_branch_name);
  option("--preset", request.preset);
  option("--image", request.image);
  option("--size", request.size);
  for (const [key, value] of Object.entries(request.env_vars ?? {})) option("--env", `${key}=${value}`);
  for (const port of request.ports ?? []) option("--port", port);
  const kinds = (request.agent_credentials ?? []).filter((it) => !it.none).map((it) => it.kind);
  if (kinds.length > 0) option("--credentials", kinds.join(","));
  if (request.skip_setup_script === true) words.push("--no-setup");
  const members: [keyof CreateSandbox, string][] = [
    ["auto_stop_interval", "timers"],
    ["auto_delete_interval", "timers"],
    ["secret_env_vars", "secrets"],
    ["setup_script_text", "the setup script"],
    ["initial_prompt", "the first prompt"],
  ];
  for (const [member, word] of members) {
    const value = request[member];
    const isSet = typeof value === "object" && value !== null ? Object.keys(value).length > 0 : value != null && value !== "";
    if (isSet && !without.includes(word)) without.push(word);
  }
  return { command: words.join(" "), without };
}

export function curl(request: CreateSandbox, origin: string): string {
  return [
    `curl -H "Authorization: Bearer $AMIKA_API_KEY" -H 'Content-Type: application/json' \\`,
    `  ${origin}/api/v0beta1/sandboxes \\`,
    `  -d ${quote(JSON.stringify(request, null, 2))}`,
  ].join("\n");
}
