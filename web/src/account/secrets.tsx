/** Secrets: written here, given to sandboxes as variables, and read by nobody unless revealed. */
import { Button, Group, NativeSelect, PasswordInput, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";

import { api, ask } from "../api/client";
import { client, me, secrets } from "../api/queries";
import type { Schemas } from "../api/types";
import { Ago } from "../ui/ago";
import { Card, Empty } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { FormModal } from "../ui/form-modal";
import { Problem } from "../ui/problem";
import { Reveal } from "./reveal";

type Secret = Schemas["SecretSummary"];
type Asks = { kind: "add" } | { kind: "change" | "reveal" | "delete"; secret: Secret } | null;

const again = () => client.invalidateQueries({ queryKey: ["secrets"] });
const path = (secret: Secret) => ({ params: { path: { id: secret.id } } });

export function Secrets() {
  const all = useQuery(secrets);
  const who = useQuery(me);
  const [asks, setAsks] = useState<Asks>(null);
  const close = () => setAsks(null);
  const mayTouch = (secret: Secret) => secret.scope === "user" || who.data?.role === "admin";
  return (
    <Card
      title="Secrets"
      flush
      aside={
        <Button size="xs" variant="default" leftSection={<Plus size={14} />} onClick={() => setAsks({ kind: "add" })}>
          New secret
        </Button>
      }
    >
      {all.error !== null && <Problem error={all.error} />}
      {all.data?.length === 0 && <Empty title="No secret">A secret becomes a variable of the sandboxes that ask for it, and stands in no label, command or log.</Empty>}
      {all.data !== undefined && all.data.length > 0 && (
        <table className="rows blocks">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Whose</th>
              <th scope="col">Changed</th>
              <th scope="col" className="end">
                Actions
              </th>
            </tr>
          </thead>
          <tbody>
            {all.data.map((secret) => (
              <tr key={secret.id}>
                <td>
                  <b>{secret.name}</b>
                  {secret.description != null && <div className="dim">{secret.description}</div>}
                </td>
                <td>{secret.scope === "org" ? "everybody's" : "yours"}</td>
                <td data-label="Changed">
                  <Ago at={secret.updated_at} />
                </td>
                <td className="end">
                  {mayTouch(secret) && (
                    <Group gap={6} justify="flex-end" className="start-narrow">
                      <Button size="xs" variant="default" aria-label={`Change ${secret.name}`} onClick={() => setAsks({ kind: "change", secret })}>
                        Change
                      </Button>
                      <Button size="xs" variant="default" aria-label={`Reveal ${secret.name}`} onClick={() => setAsks({ kind: "reveal", secret })}>
                        Reveal
                      </Button>
                      <Button size="xs" variant="default" aria-label={`Delete ${secret.name}`} onClick={() => setAsks({ kind: "delete", secret })}>
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
      {asks?.kind === "add" && <Write secret={null} isAdmin={who.data?.role === "admin"} onClose={close} />}
      {asks?.kind === "change" && <Write secret={asks.secret} isAdmin={false} onClose={close} />}
      {asks?.kind === "reveal" && <Reveal name={asks.secret.name} onClose={close} reveal={() => ask(api.POST("/api/v0beta1/secrets/{id}/reveal", path(asks.secret)))} />}
      {asks?.kind === "delete" && (
        <Confirm
          title={`Delete ${asks.secret.name}?`}
          action="Delete"
          onClose={close}
          run={async () => {
            await ask(api.DELETE("/api/v0beta1/secrets/{id}", path(asks.secret)));
            await again();
          }}
        >
          Sandboxes that use it have it until their next start.
        </Confirm>
      )}
    </Card>
  );
}

function Write({ secret, isAdmin, onClose }: { secret: Secret | null; isAdmin: boolean; onClose: () => void }) {
  const [name, setName] = useState(secret?.name ?? "");
  const [value, setValue] = useState("");
  const [description, setDescription] = useState(secret?.description ?? "");
  const [scope, setScope] = useState<Schemas["SecretScope"]>("user");
  const run = async () => {
    const told = description.trim() === "" ? null : description;
    if (secret === null) await ask(api.POST("/api/v0beta1/secrets", { body: { name, value, description: told, scope } }));
    else await ask(api.PUT("/api/v0beta1/secrets/{id}", { ...path(secret), body: { name, description: told, ...(value === "" ? {} : { value }) } }));
    await again();
  };
  return (
    <FormModal title={secret === null ? "New secret" : `Change ${secret.name}`} action="Save" onClose={onClose} run={run} fields={["/name", "/value", "/description", "/scope"]}>
      {(error) => (
        <>
          <TextInput label="Name" value={name} error={error("/name")} onChange={(event) => setName(event.currentTarget.value)} required data-autofocus />
          <PasswordInput
            label="Value"
            description={secret === null ? undefined : "Empty: it stays as it is. A change holds from a sandbox's next start."}
            value={value}
            error={error("/value")}
            onChange={(event) => setValue(event.currentTarget.value)}
            required={secret === null}
            autoComplete="off"
            visibilityToggleButtonProps={{ "aria-label": "Show what was typed" }}
          />
          <TextInput label="Description" value={description} error={error("/description")} onChange={(event) => setDescription(event.currentTarget.value)} />
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
