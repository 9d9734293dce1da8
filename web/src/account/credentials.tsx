/** Sign-ins of agents, which a sandbox is given when it is made. */
import { Button, Group, NativeSelect, Textarea, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";

import { api, ask } from "../api/client";
import { client, credentials, me, type CredentialKind } from "../api/queries";
import type { Schemas } from "../api/types";
import { Card, Empty } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { FormModal } from "../ui/form-modal";
import { Problem } from "../ui/problem";
import { Reveal } from "./reveal";

type Credential = Schemas["CredentialSummary"] & { kind: CredentialKind };
type Asks = { kind: "add" } | { kind: "reveal" | "delete"; credential: Credential } | null;

export const KINDS: { value: CredentialKind; label: string }[] = [
  { value: "claude", label: "Claude Code" },
  { value: "codex", label: "Codex" },
  { value: "opencode-auth", label: "OpenCode" },
  { value: "github", label: "GitHub" },
];

const again = () => client.invalidateQueries({ queryKey: ["credentials"] });
const path = (it: Credential) => ({ params: { path: { id: it.id } } });

export function Credentials() {
  const all = useQuery(credentials);
  const who = useQuery(me);
  const [asks, setAsks] = useState<Asks>(null);
  const close = () => setAsks(null);
  const mayTouch = (it: Credential) => it.scope === "user" || who.data?.role === "admin";
  return (
    <Card
      title="Agents"
      flush
      aside={
        <Button size="xs" variant="default" leftSection={<Plus size={14} />} onClick={() => setAsks({ kind: "add" })}>
          Add credentials
        </Button>
      }
    >
      {all.error !== null && <Problem error={all.error} />}
      {all.data?.length === 0 && (
        <Empty title="No agent is signed in">
          Credentials that are kept here can be put into sandboxes when they are made. `amika secret push` brings those of your machine.
        </Empty>
      )}
      {all.data !== undefined && all.data.length > 0 && (
        <table className="rows blocks">
          <thead>
            <tr>
              <th scope="col">Agent</th>
              <th scope="col">Name</th>
              <th scope="col">Kind</th>
              <th scope="col">Whose</th>
              <th scope="col" className="end">
                Actions
              </th>
            </tr>
          </thead>
          <tbody>
            {all.data.map((it) => (
              <tr key={it.id}>
                <td>
                  <b>{KINDS.find((kind) => kind.value === it.kind)?.label}</b>
                </td>
                <td>{it.name}</td>
                <td>{it.type === "oauth" ? "login" : "API key"}</td>
                <td>{it.scope === "org" ? "everybody's" : "yours"}</td>
                <td className="end">
                  {mayTouch(it) && (
                    <Group gap={6} justify="flex-end" className="start-narrow">
                      <Button size="xs" variant="default" aria-label={`Reveal credentials ${it.name}`} onClick={() => setAsks({ kind: "reveal", credential: it })}>
                        Reveal
                      </Button>
                      <Button size="xs" variant="default" aria-label={`Delete credentials ${it.name}`} onClick={() => setAsks({ kind: "delete", credential: it })}>
                        Delete
                      </Button>
                    </Group>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {asks?.kind === "add" && <Add isAdmin={who.data?.role === "admin"} onClose={close} />}
      {asks?.kind === "reveal" && (
        <Reveal name={asks.credential.name} onClose={close} reveal={() => ask(api.POST(`/api/v0beta1/secrets/${asks.credential.kind}/{id}/reveal`, path(asks.credential)))} />
      )}
      {asks?.kind === "delete" && (
        <Confirm
          title={`Delete ${asks.credential.name}?`}
          action="Delete"
          onClose={close}
          run={async () => {
            await ask(api.DELETE(`/api/v0beta1/secrets/${asks.credential.kind}/{id}`, path(asks.credential)));
            await again();
          }}
        >
          New sandboxes no longer get it. The file stays in the home of those that have it.
        </Confirm>
      )}
    </Card>
  );
}

const HINTS: Record<string, string> = {
  "claude oauth": "The content of ~/.claude/.credentials.json",
  "claude api_key": "An API key of Anthropic's",
  "codex oauth": "The content of ~/.codex/auth.json",
  "codex api_key": "An API key of OpenAI's",
  "opencode-auth oauth": "The content of ~/.local/share/opencode/auth.json",
  "opencode-auth api_key": "The content of ~/.local/share/opencode/auth.json",
  "github oauth": "A token of GitHub's",
  "github api_key": "A token of GitHub's",
};

function Add({ isAdmin, onClose }: { isAdmin: boolean; onClose: () => void }) {
  const [kind, setKind] = useState<CredentialKind>("claude");
  const [name, setName] = useState("");
  const [type, setType] = useState<Schemas["CredentialType"]>("oauth");
  const [value, setValue] = useState("");
  const [scope, setScope] = useState<Schemas["SecretScope"]>("user");
  const run = async () => {
    await ask(api.POST(`/api/v0beta1/secrets/${kind}`, { body: { name, type, value, scope } }));
    await again();
  };
  return (
    <FormModal title="Add credentials" action="Add" onClose={onClose} run={run} fields={["/name", "/value", "/type", "/scope"]}>
      {(error) => (
        <>
          <NativeSelect label="Agent" data={KINDS} value={kind} onChange={(event) => setKind(event.currentTarget.value as CredentialKind)} data-autofocus />
          <TextInput label="Name" placeholder="work" value={name} error={error("/name")} onChange={(event) => setName(event.currentTarget.value)} required />
          <NativeSelect
            label="Kind"
            value={type}
            error={error("/type")}
            onChange={(event) => setType(event.currentTarget.value as Schemas["CredentialType"])}
            data={[
              { value: "oauth", label: "login" },
              { value: "api_key", label: "API key" },
            ]}
          />
          <Textarea label="Value" description={HINTS[`${kind} ${type}`]} autosize minRows={3} maxRows={8} value={value} error={error("/value")} onChange={(event) => setValue(event.currentTarget.value)} required autoComplete="off" spellCheck={false} />
          {isAdmin && (
            <NativeSelect
              label="Whose"
              value={scope}
              onChange={(event) => setScope(event.currentTarget.value as Schemas["SecretScope"])}
              data={[
                { value: "user", label: "yours alone" },
                { value: "org", label: "everybody's to use" },
              ]}
            />
          )}
        </>
      )}
    </FormModal>
  );
}
