/** Sign-ins by which the server clones private repositories. */
import { Button, NativeSelect, Textarea, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";

import { api, ask } from "../api/client";
import { client, gitSignIns, me } from "../api/queries";
import type { Schemas } from "../api/types";
import { Card, Empty } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { FormModal } from "../ui/form-modal";
import { Problem } from "../ui/problem";

const again = () => client.invalidateQueries({ queryKey: ["git-sign-ins"] });

export function GitHosts() {
  const all = useQuery(gitSignIns);
  const [asks, setAsks] = useState<"add" | Schemas["GitSignIn"] | null>(null);
  return (
    <Card
      title="Git hosts"
      flush
      aside={
        <Button size="xs" variant="default" leftSection={<Plus size={14} />} onClick={() => setAsks("add")}>
          Add host
        </Button>
      }
    >
      {all.error !== null && <Problem error={all.error} />}
      {all.data?.length === 0 && <Empty title="Public repositories alone">A token or a key for a host lets the server clone private ones. It goes into no sandbox.</Empty>}
      {all.data !== undefined && all.data.length > 0 && (
        <table className="rows blocks">
          <thead>
            <tr>
              <th scope="col">Host</th>
              <th scope="col">By</th>
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
                  <b>{it.host}</b>
                </td>
                <td>{it.type === "token" ? "token over HTTPS" : "SSH key"}</td>
                <td>{it.scope === "org" ? "everybody's" : "yours"}</td>
                <td className="end">
                  <Button size="xs" variant="default" aria-label={`Delete the sign-in of ${it.host}`} onClick={() => setAsks(it)}>
                    Delete
                  </Button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {asks === "add" && <Add onClose={() => setAsks(null)} />}
      {asks !== null && asks !== "add" && (
        <Confirm
          title={`Delete the sign-in of ${asks.host}?`}
          action="Delete"
          onClose={() => setAsks(null)}
          run={async () => {
            await ask(api.DELETE("/api/v0beta1/secrets/git/{id}", { params: { path: { id: asks.id } } }));
            await again();
          }}
        >
          The server clones public repositories of that host alone from then on.
        </Confirm>
      )}
    </Card>
  );
}

function Add({ onClose }: { onClose: () => void }) {
  const who = useQuery(me);
  const [host, setHost] = useState("");
  const [type, setType] = useState<Schemas["GitSignInType"]>("token");
  const [value, setValue] = useState("");
  const [hosts, setHosts] = useState("");
  const [scope, setScope] = useState<Schemas["SecretScope"]>("user");
  const run = async () => {
    const known = type === "ssh_key" && hosts.trim() !== "" ? hosts : null;
    await ask(api.POST("/api/v0beta1/secrets/git", { body: { host, type, value, known_hosts: known, scope } }));
    await again();
  };
  return (
    <FormModal title="Add a git host" action="Add" onClose={onClose} run={run} fields={["/host", "/type", "/value", "/known_hosts", "/scope"]}>
      {(error) => (
        <>
          <TextInput label="Host" placeholder="github.com" value={host} error={error("/host")} onChange={(event) => setHost(event.currentTarget.value)} required data-autofocus />
          <NativeSelect
            label="By"
            value={type}
            onChange={(event) => setType(event.currentTarget.value as Schemas["GitSignInType"])}
            data={[
              { value: "token", label: "a token over HTTPS" },
              { value: "ssh_key", label: "an SSH key" },
            ]}
          />
          <Textarea label={type === "token" ? "Token" : "Private key"} autosize minRows={type === "token" ? 1 : 4} maxRows={10} value={value} error={error("/value")} onChange={(event) => setValue(event.currentTarget.value)} required autoComplete="off" spellCheck={false} />
          {type === "ssh_key" && (
            <Textarea label="Known hosts" description="Lines of known_hosts for that host, as ssh-keyscan prints them" autosize minRows={2} maxRows={6} value={hosts} error={error("/known_hosts")} onChange={(event) => setHosts(event.currentTarget.value)} spellCheck={false} />
          )}
          {who.data?.role === "admin" && (
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
