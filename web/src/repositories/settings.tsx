/** Settings saved for a repository, beside those of its file. */
import { Button, Group, NativeSelect, Text, Textarea, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type SyntheticEvent } from "react";

import { api, ask } from "../api/client";
import { failure } from "../api/failure";
import { client, fileServices } from "../api/queries";
import type { Repository, Schemas, Size } from "../api/types";
import { beside, settingsBack } from "../lib/file";
import { Pairs } from "../sandboxes/create/setup-fields";
import { Card } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { done } from "../ui/notify";
import { Problem } from "../ui/problem";

/** The file's value stands below the field. */
const ORDER: ("label" | "input" | "description" | "error")[] = ["label", "input", "description", "error"];
const FIELDS = ["/setup_script_text", "/setup_script", "/start_script", "/sandbox_preset", "/sandbox_size", "/env_vars"];

/** What is empty is not saved: there the file holds. */
export function SettingsCard({ repository: it, branch, isAdmin }: { repository: Repository; branch: string; isAdmin: boolean }) {
  const file = useQuery(fileServices(it.id, branch === "" ? null : branch)).data?.settings;
  const [text, setText] = useState(it.setup_script_text ?? "");
  const [setup, setSetup] = useState(it.setup_script ?? "");
  const [start, setStart] = useState(it.start_script ?? "");
  const [preset, setPreset] = useState(it.sandbox_preset ?? "");
  const [size, setSize] = useState<string>(it.sandbox_size ?? "");
  const [env, setEnv] = useState(Object.entries(it.env_vars ?? {}).map(([name, value]) => ({ name, value })));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [asks, setAsks] = useState(false);
  const told = error === null ? null : failure(error);
  const or = (value: string) => (value.trim() === "" ? null : value);
  const put = async (body: Schemas["ReplaceRepository"]) => {
    await ask(api.PUT("/api/v0beta1/repositories/{id}", { params: { path: { id: it.id } }, body: { ...body, default_snapshot: it.default_snapshot } }));
    await client.invalidateQueries({ queryKey: ["repositories"], exact: true });
  };
  const back = settingsBack(it, file);
  /** Under a field, what the file has for it; nothing until it was read. */
  const below = (value: string | null | undefined, saved: string) => (file === undefined ? undefined : beside(value, saved));
  const submit = async (event: SyntheticEvent) => {
    event.preventDefault();
    setBusy(true);
    const named = env.filter((pair) => pair.name.trim() !== "");
    const body = {
      setup_script_text: or(text),
      setup_script: or(setup),
      start_script: or(start),
      sandbox_preset: or(preset),
      sandbox_size: or(size) as Size | null,
      env_vars: named.length === 0 ? null : Object.fromEntries(named.map((pair) => [pair.name.trim(), pair.value])),
    };
    try {
      await put(body);
      setError(null);
      done("The settings are saved");
    } catch (caught) {
      setError(caught);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card
      title="Settings"
      aside={
        isAdmin &&
        back.length > 0 && (
          <Button size="xs" variant="default" onClick={() => setAsks(true)}>
            Back to the file…
          </Button>
        )
      }
    >
      <form onSubmit={submit}>
        <fieldset disabled={!isAdmin} className="stack" style={{ border: 0, margin: 0, padding: 0, minWidth: 0 }}>
          <Text size="sm" c="dimmed">
            Each field by itself: what is asked for with a sandbox wins over what is saved here, that over the repository's file. An empty
            field saves nothing.
            {!isAdmin && " Administrators change them."}
          </Text>
          {told !== null && !FIELDS.some((field) => told.of(field) !== undefined) && <Problem error={told} />}
          <Textarea label="Setup script" description="Runs as root at every start; wins over the path below and over the file's" autosize minRows={3} maxRows={20} styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: 12 } }} value={text} onChange={(event) => setText(event.currentTarget.value)} error={told?.of("/setup_script_text")} />
          <div className="pair">
            <TextInput label="Path of the setup script" inputWrapperOrder={ORDER} description={below(file?.setup_script, setup || text)} placeholder="as the file says" value={setup} onChange={(event) => setSetup(event.currentTarget.value)} error={told?.of("/setup_script")} />
            <TextInput label="Path of the start script" placeholder="none" value={start} onChange={(event) => setStart(event.currentTarget.value)} error={told?.of("/start_script")} />
            <NativeSelect
              label="Preset"
              inputWrapperOrder={ORDER}
              description={below(file?.preset ?? file?.image, preset)}
              value={preset}
              onChange={(event) => setPreset(event.currentTarget.value)}
              error={told?.of("/sandbox_preset")}
              data={[
                { value: "", label: "as the file says" },
                { value: "coder", label: "coder" },
                { value: "coder-dind", label: "coder-dind" },
              ]}
            />
            <NativeSelect
              label="Size"
              value={size}
              onChange={(event) => setSize(event.currentTarget.value)}
              error={told?.of("/sandbox_size")}
              data={[{ value: "", label: "none" }, ..."xs m l xl".split(" ").map((one) => ({ value: one, label: one }))]}
            />
          </div>
          <Pairs label="Environment variables" one="variable" pairs={env} change={setEnv} error={told?.of("/env_vars")} value={(pair, write) => <TextInput aria-label={`Value of ${pair.name || "the variable"}`} placeholder="value" value={pair.value} onChange={(event) => write(event.currentTarget.value)} />} />
          {Object.entries(file?.env_vars ?? {}).map(([name, value]) => (
            <Text key={name} size="xs" c="dimmed">
              <span className="mono">{name}</span>: {beside(value, env.some((pair) => pair.name.trim() === name) ? "saved" : "")}
            </Text>
          ))}
          {isAdmin && (
            <Group justify="flex-end">
              <Button type="submit" loading={busy}>
                Save settings
              </Button>
            </Group>
          )}
        </fieldset>
      </form>
      {asks && (
        <Confirm title="Back to the file's settings?" action="Back to the file" onClose={() => setAsks(false)} run={() => put({})}>
          No setting is saved any more. New sandboxes are then made with:
          <ul aria-label="What that changes" style={{ margin: "6px 0", paddingInlineStart: 20 }}>
            {back.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
          Saved services stay.
        </Confirm>
      )}
    </Card>
  );
}
