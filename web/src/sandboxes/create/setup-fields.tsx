import { ActionIcon, Button, Group, Input, NativeSelect, Textarea, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Plus, Trash2 } from "lucide-react";
import type { ReactNode } from "react";

import { secrets } from "../../api/queries";
import type { Form, Pair } from "../../lib/form";
import { Card } from "../../ui/basics";
import type { Fields } from "./page";

export function SetupFields({ form, set, error }: Fields) {
  const names = useQuery(secrets);
  const all = ["", ...new Set((names.data ?? []).map((it) => it.name))];
  return (
    <Card title="Setup and variables">
      <div className="stack">
        <NativeSelect
          label="Setup script"
          value={form.setup}
          onChange={(event) => set({ setup: event.currentTarget.value as Form["setup"] })}
          data={[
            { value: "repository", label: "As the repository says" },
            { value: "own", label: "This one" },
            { value: "skip", label: "None" },
          ]}
        />
        {form.setup === "own" && (
          <Textarea
            label="Script"
            description="Runs as root at every start, before anything else"
            placeholder={"#!/bin/sh\nset -e\n"}
            autosize
            minRows={4}
            maxRows={16}
            className="mono"
            value={form.script}
            onChange={(event) => set({ script: event.currentTarget.value })}
            error={error("/setup_script_text")}
          />
        )}
        <Pairs
          label="Environment variables"
          one="variable"
          pairs={form.env}
          change={(env) => set({ env })}
          error={error("/env_vars")}
          value={(pair, write) => <TextInput aria-label={`Value of ${pair.name || "the variable"}`} placeholder="value" value={pair.value} onChange={(event) => write(event.currentTarget.value)} />}
        />
        <Pairs
          label="Variables of secrets"
          one="secret"
          pairs={form.secrets}
          change={(changed) => set({ secrets: changed })}
          error={error("/secret_env_vars")}
          value={(pair, write) => <NativeSelect aria-label={`Secret of ${pair.name || "the variable"}`} data={all.map((name) => ({ value: name, label: name === "" ? "choose a secret" : name }))} value={pair.value} onChange={(event) => write(event.currentTarget.value)} />}
        />
      </div>
    </Card>
  );
}

export function Pairs({
  label,
  one,
  pairs,
  change,
  error,
  value,
}: {
  label: string;
  one: string;
  pairs: Pair[];
  change: (pairs: Pair[]) => void;
  error?: string;
  value: (pair: Pair, write: (value: string) => void) => ReactNode;
}) {
  const put = (index: number, part: Partial<Pair>) => change(pairs.map((it, at) => (at === index ? { ...it, ...part } : it)));
  return (
    <Input.Wrapper label={label} error={error} labelElement="div">
      {pairs.map((pair, index) => (
        <Group key={index} gap={6} mt={6} wrap="nowrap">
          <TextInput aria-label={`Name of ${one} ${index + 1}`} placeholder="NAME" value={pair.name} onChange={(event) => put(index, { name: event.currentTarget.value })} style={{ flex: 1, minWidth: 0 }} />
          <div style={{ flex: 1, minWidth: 0 }}>{value(pair, (text) => put(index, { value: text }))}</div>
          <ActionIcon variant="subtle" color="gray" aria-label={`Remove ${one} ${index + 1}`} onClick={() => change(pairs.filter((_, at) => at !== index))}>
            <Trash2 size={15} />
          </ActionIcon>
        </Group>
      ))}
      <Button size="xs" variant="default" mt={6} leftSection={<Plus size={14} />} onClick={() => change([...pairs, { name: "", value: "" }])} display="block">
        Add {one}
      </Button>
    </Input.Wrapper>
  );
}
