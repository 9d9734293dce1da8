import { Checkbox, NativeSelect, Text, Textarea } from "@mantine/core";
import { Link } from "@tanstack/react-router";

import type { SignIn } from "../../lib/form";
import { Card } from "../../ui/basics";
import type { Fields } from "./page";

const KINDS: Record<string, string> = { claude: "Claude Code", codex: "Codex", github: "GitHub", "opencode-auth": "OpenCode" };

const AGENTS = [
  { value: "", label: "The one that is signed in" },
  { value: "claude", label: "Claude Code" },
  { value: "codex", label: "Codex" },
  { value: "opencode", label: "OpenCode" },
];

export function AgentFields({ form, set, error, signIns }: Fields & { signIns: SignIn[] }) {
  return (
    <Card title="Agent">
      <div className="stack">
        {signIns.length === 0 ? (
          <Text size="sm" c="dimmed">
            No sign-in of an agent is kept here. Add one under <Link to="/account">Keys and secrets</Link>, or sign in inside the sandbox.
          </Text>
        ) : (
          <Checkbox.Group
            label="Credentials that go in"
            description="What works in the sandbox can read them"
            error={error("/agent_credentials")}
            value={form.credentials}
            onChange={(chosen) => set({ credentials: chosen })}
          >
            <div style={{ display: "grid", gap: 6, marginTop: 6 }}>
              {signIns.map((it) => (
                <Checkbox
                  key={it.id}
                  size="xs"
                  label={`${KINDS[it.kind] ?? it.kind}: ${it.name} (${it.type === "oauth" ? "login" : "API key"})`}
                  value={it.id}
                />
              ))}
            </div>
          </Checkbox.Group>
        )}
        <Textarea
          label="First prompt"
          description="Given to the agent once setup is done"
          autosize
          minRows={2}
          maxRows={10}
          value={form.prompt}
          onChange={(event) => set({ prompt: event.currentTarget.value })}
          error={error("/initial_prompt")}
        />
        <NativeSelect label="Agent" data={AGENTS} value={form.agent} onChange={(event) => set({ agent: event.currentTarget.value })} error={error("/agent")} />
      </div>
    </Card>
  );
}
