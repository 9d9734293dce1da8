/** What a repository's file says, beside what is saved for the repository. */
import type { PortDefinition, Repository, Schemas } from "../api/types";
import { show } from "./ports";

interface Named {
  name: string;
  ports: PortDefinition[];
}

/** What comes of services, a line each, when those that are saved are given up for the file's. */
export function backToFile(saved: Named[], file: Named[]): string[] {
  const lines = saved.flatMap((it) => {
    const other = file.find((one) => one.name === it.name);
    if (!other) return [`${it.name} is gone`];
    const [now, then] = [show(it.ports), show(other.ports)];
    return now === then ? [`${it.name} stays as it is`] : [`${it.name} has ${then} in place of ${now}`];
  });
  for (const it of file) if (!saved.some((one) => one.name === it.name)) lines.push(`${it.name} comes: ${show(it.ports)}`);
  return lines.length === 0 ? ["nothing: there are none in either"] : lines;
}

type Declared = Schemas["DeclaredSettings"];

/** What comes of settings, a line each, when those that are saved are given up for the file's. */
export function settingsBack(it: Repository, file: Declared | undefined): string[] {
  const lines: string[] = [];
  const line = (what: string, saved: string | null | undefined, then: string | null | undefined) => {
    if (saved != null && saved !== then) lines.push(`${what}: ${then ?? "none"} in place of ${saved}`);
    else if (saved != null) lines.push(`${what}: ${saved}, as now`);
  };
  line("Setup script", it.setup_script_text == null ? it.setup_script : "the saved one", file?.setup_script);
  line("Start script", it.start_script, null);
  line("Preset", it.sandbox_preset, file?.preset ?? file?.image);
  line("Size", it.sandbox_size, null);
  for (const [name, value] of Object.entries(it.env_vars ?? {})) line(name, value, file?.env_vars[name]);
  return lines;
}

/** What stands below a field: the file's value, and whether it holds. */
export function beside(file: string | null | undefined, saved: string): string {
  if (file == null) return "The file says nothing";
  return saved.trim() === "" ? `The file: ${file}` : `The file: ${file}; what is saved here wins`;
}
