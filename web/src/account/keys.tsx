/** API keys of one's own: the value is seen once. */
import { Alert, Button, Modal, NativeSelect, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";

import { api, ask } from "../api/client";
import { apiKeys, client, me } from "../api/queries";
import type { Schemas } from "../api/types";
import { Ago } from "../ui/ago";
import { Card, CodeBlock, Empty } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { FormModal } from "../ui/form-modal";
import { Problem } from "../ui/problem";

const again = () => client.invalidateQueries({ queryKey: ["api-keys"] });

export function Keys() {
  const all = useQuery(apiKeys);
  const [asks, setAsks] = useState<"add" | Schemas["ApiKey"] | null>(null);
  const [made, setMade] = useState<string | null>(null);
  const revoke = async (key: Schemas["ApiKey"]) => {
    await ask(api.DELETE("/api/v0beta1/api-keys/{id}", { params: { path: { id: key.id } } }));
    await again();
  };
  return (
    <Card
      title="API keys"
      flush
      aside={
        <Button size="xs" variant="default" leftSection={<Plus size={14} />} onClick={() => setAsks("add")}>
          New key
        </Button>
      }
    >
      {all.error !== null && <Problem error={all.error} />}
      {all.data?.length === 0 && <Empty title="No key">A key signs in `amika auth login`, curl and programs.</Empty>}
      {all.data !== undefined && all.data.length > 0 && (
        <table className="rows blocks">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Key</th>
              <th scope="col">Scopes</th>
              <th scope="col">Last used</th>
              <th scope="col">Made</th>
              <th scope="col" className="end">
                Actions
              </th>
            </tr>
          </thead>
          <tbody>
            {all.data.map((key) => (
              <tr key={key.id}>
                <td>
                  <b>{key.name}</b>
                </td>
                <td className="mono">{key.obfuscatedValue}</td>
                <td>{key.scopes.join(", ")}</td>
                <td data-label="Last used">
                  <Ago at={key.lastUsedAt} />
                </td>
                <td data-label="Made">
                  <Ago at={key.createdAt} />
                </td>
                <td className="end">
                  <Button size="xs" variant="default" onClick={() => setAsks(key)} aria-label={`Revoke ${key.name}`}>
                    Revoke
                  </Button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {asks === "add" && <Add onClose={() => setAsks(null)} made={setMade} />}
      {asks !== null && asks !== "add" && (
        <Confirm title={`Revoke ${asks.name}?`} action="Revoke" onClose={() => setAsks(null)} run={() => revoke(asks)}>
          Whatever uses the key is refused from then on.
        </Confirm>
      )}
      {made !== null && (
        <Modal opened onClose={() => setMade(null)} title="The key, shown this once">
          <Alert variant="outline" color="gray" mb="sm" p="xs">
            <Text size="sm">Copy it now: the server keeps a digest of it alone.</Text>
          </Alert>
          <CodeBlock text={made} label="Copy the key" />
        </Modal>
      )}
    </Card>
  );
}

const SCOPES: Record<string, Schemas["Scope"][]> = { read: ["read"], write: ["read", "write"], admin: ["read", "write", "admin"] };

function Add({ onClose, made }: { onClose: () => void; made: (value: string) => void }) {
  const who = useQuery(me);
  const [name, setName] = useState("");
  const [scope, setScope] = useState("write");
  const run = async () => {
    const created = await ask(api.POST("/api/v0beta1/api-keys", { body: { name, scopes: SCOPES[scope] ?? [] } }));
    await again();
    made(created.value);
  };
  return (
    <FormModal title="New key" action="Make" onClose={onClose} run={run} fields={["/name", "/scopes"]}>
      {(error) => (
        <>
          <TextInput label="Name" description="What will use it" value={name} error={error("/name")} onChange={(event) => setName(event.currentTarget.value)} required data-autofocus />
          <NativeSelect
            label="It may"
            value={scope}
            error={error("/scopes")}
            onChange={(event) => setScope(event.currentTarget.value)}
            data={[
              { value: "read", label: "look" },
              { value: "write", label: "look and change" },
              ...(who.data?.role === "admin" ? [{ value: "admin", label: "look, change and administrate" }] : []),
            ]}
          />
        </>
      )}
    </FormModal>
  );
}
