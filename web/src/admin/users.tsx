/** Users, their rights and how much they may have. */
import { Button, Checkbox, Group, Modal, NativeSelect, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";

import { api, ask } from "../api/client";
import { client, me, users } from "../api/queries";
import type { Schemas, User } from "../api/types";
import { bytes } from "../lib/bytes";
import { Ago } from "../ui/ago";
import { Card, CodeBlock } from "../ui/basics";
import { FormModal } from "../ui/form-modal";
import { Problem } from "../ui/problem";

const again = () => client.invalidateQueries({ queryKey: ["users"] });

type Asks = { kind: "add" } | { kind: "change" | "delete"; user: User } | null;

export function Users(): React.ReactNode {
  const all = useQuery(users);
  const who = useQuery(me);
  const [asks, setAsks] = useState<Asks>(null);
  const [link, setLink] = useState<{ name: string; url: string } | null>(null);
  const close = () => setAsks(null);
  return (
    <Card
      title="Users"
      flush
      aside={
        <Button size="xs" variant="default" leftSection={<Plus size={14} />} onClick={() => setAsks({ kind: "add" })}>
          New user
        </Button>
      }
    >
      {all.error !== null && <Problem error={all.error} />}
      <table className="rows blocks">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Role</th>
            <th scope="col">May have</th>
            <th scope="col">Made</th>
            <th scope="col" className="end">
              Actions
            </th>
          </tr>
        </thead>
        <tbody>
          {all.data?.map((user) => (
            <tr key={user.id}>
              <td>
                <b>{user.name}</b>
                {user.disabled && <span className="dim"> disabled</span>}
                {user.email != null && <div className="dim">{user.email}</div>}
              </td>
              <td>{user.role === "admin" ? "administrator" : "member"}</td>
              <td>{quota(user)}</td>
              <td data-label="Made">
                <Ago at={user.created_at} />
              </td>
              <td className="end">
                <Group gap={6} justify="flex-end" className="start-narrow">
                  <Button size="xs" variant="default" aria-label={`Change ${user.name}`} onClick={() => setAsks({ kind: "change", user })}>
                    Change
                  </Button>
                  <Button size="xs" variant="default" aria-label={`Delete ${user.name}`} disabled={user.id === who.data?.id} onClick={() => setAsks({ kind: "delete", user })}>
                    Delete
                  </Button>
                </Group>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {asks?.kind === "add" && <Add onClose={close} made={setLink} />}
      {asks?.kind === "change" && <Change user={asks.user} onClose={close} />}
      {asks?.kind === "delete" && <Delete user={asks.user} others={(all.data ?? []).filter((it) => it.id !== asks.user.id)} onClose={close} />}
      {link !== null && (
        <Modal opened onClose={() => setLink(null)} title={`A link for ${link.name}`}>
          <Text size="sm" mb="sm">
            Hand it over: it signs in once, within 10 minutes. It is shown this once.
          </Text>
          <CodeBlock text={link.url} label="Copy the link" />
        </Modal>
      )}
    </Card>
  );
}

function quota(user: User): string {
  const parts = [
    user.max_sandboxes == null ? null : `${user.max_sandboxes} sandboxes`,
    user.max_cpus == null ? null : `${user.max_cpus} CPUs`,
    user.max_memory == null ? null : bytes(user.max_memory),
  ].filter((it) => it !== null);
  return parts.length === 0 ? (user.role === "admin" ? "anything" : "as configured for members") : parts.join(", ");
}

function Add({ onClose, made }: { onClose: () => void; made: (link: { name: string; url: string }) => void }) {
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Schemas["Role"]>("member");
  const run = async () => {
    const created = await ask(api.POST("/api/v0beta1/users", { body: { name, email: email.trim() === "" ? null : email, role } }));
    await again();
    made({ name: created.name, url: created.sign_in_url });
  };
  return (
    <FormModal title="New user" action="Make" onClose={onClose} run={run} fields={["/name", "/email", "/role"]}>
      {(error) => (
        <>
          <TextInput label="Name" value={name} error={error("/name")} onChange={(event) => setName(event.currentTarget.value)} required data-autofocus autoComplete="off" />
          <TextInput label="Email" value={email} error={error("/email")} onChange={(event) => setEmail(event.currentTarget.value)} autoComplete="off" />
          <RoleField role={role} set={setRole} />
        </>
      )}
    </FormModal>
  );
}

function RoleField({ role, set }: { role: Schemas["Role"]; set: (role: Schemas["Role"]) => void }) {
  return (
    <NativeSelect
      label="Role"
      value={role}
      onChange={(event) => set(event.currentTarget.value as Schemas["Role"])}
      data={[
        { value: "member", label: "member: own sandboxes" },
        { value: "admin", label: "administrator: everything" },
      ]}
    />
  );
}

const GIB = 2 ** 30;

function Change({ user, onClose }: { user: User; onClose: () => void }) {
  const [name, setName] = useState(user.name);
  const [email, setEmail] = useState(user.email ?? "");
  const [role, setRole] = useState(user.role);
  const [disabled, setDisabled] = useState(user.disabled);
  const [boxes, setBoxes] = useState(user.max_sandboxes?.toString() ?? "");
  const [cpus, setCpus] = useState(user.max_cpus?.toString() ?? "");
  const [memory, setMemory] = useState(user.max_memory == null ? "" : String(user.max_memory / GIB));
  const number = (text: string, unit = 1) => (text.trim() === "" ? null : Math.round(Number(text) * unit));
  const run = async () => {
    const body = {
      name,
      email: email.trim() === "" ? null : email,
      role,
      disabled,
      max_sandboxes: number(boxes),
      max_cpus: number(cpus),
      max_memory: number(memory, GIB),
    };
    await ask(api.PATCH("/api/v0beta1/users/{id}", { params: { path: { id: user.id } }, body }));
    await again();
  };
  return (
    <FormModal title={`Change ${user.name}`} action="Save" onClose={onClose} run={run} fields={["/name", "/email", "/role", "/max_sandboxes", "/max_cpus", "/max_memory"]}>
      {(error) => (
        <>
          <TextInput label="Name" value={name} error={error("/name")} onChange={(event) => setName(event.currentTarget.value)} required data-autofocus autoComplete="off" />
          <TextInput label="Email" value={email} error={error("/email")} onChange={(event) => setEmail(event.currentTarget.value)} autoComplete="off" />
          <RoleField role={role} set={setRole} />
          <TextInput label="Sandboxes at most" placeholder="as configured" inputMode="numeric" value={boxes} error={error("/max_sandboxes")} onChange={(event) => setBoxes(event.currentTarget.value)} />
          <div className="pair">
            <TextInput label="CPUs at most" placeholder="as configured" inputMode="numeric" value={cpus} error={error("/max_cpus")} onChange={(event) => setCpus(event.currentTarget.value)} />
            <TextInput label="Memory at most, GiB" placeholder="as configured" inputMode="numeric" value={memory} error={error("/max_memory")} onChange={(event) => setMemory(event.currentTarget.value)} />
          </div>
          <Checkbox label="Disabled: can sign in no more" checked={disabled} onChange={(event) => setDisabled(event.currentTarget.checked)} />
        </>
      )}
    </FormModal>
  );
}

function Delete({ user, others, onClose }: { user: User; others: User[]; onClose: () => void }) {
  const [to, setTo] = useState("");
  const run = async () => {
    const query = to === "" ? {} : { transfer_to: to };
    await ask(api.DELETE("/api/v0beta1/users/{id}", { params: { path: { id: user.id }, query } }));
    await again();
  };
  return (
    <FormModal title={`Delete ${user.name}?`} action="Delete" onClose={onClose} run={run} fields={[]}>
      {() => (
        <>
          <Text size="sm">Keys, sessions and secrets of {user.name} are gone at once. Sandboxes need another owner.</Text>
          <NativeSelect label="Sandboxes go to" value={to} onChange={(event) => setTo(event.currentTarget.value)} data={[{ value: "", label: "nobody: refused while there are any" }, ...others.map((it) => ({ value: it.id, label: it.name }))]} />
        </>
      )}
    </FormModal>
  );
}
