/** Services and ports: declared ones, and what listens besides. */
import { ActionIcon, Anchor, Badge, Button, Group, Modal, NativeSelect, NumberInput, TextInput, Tooltip } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Plus, Trash2 } from "lucide-react";
import { useState, type SyntheticEvent } from "react";

import { api, ask } from "../../api/client";
import { failure } from "../../api/failure";
import { client, ports, services } from "../../api/queries";
import type { ListeningPort, Sandbox, SandboxService, StandingService } from "../../api/types";
import { Card, Copy, Empty } from "../../ui/basics";
import { failed } from "../../ui/notify";
import { Problem } from "../../ui/problem";
import { openPort } from "../actions";
import { RunActions, Stands } from "./service-run";

/** OpenCode and amikad: those of Amika itself. */
const OWN = new Set([60998, 60999]);

export function Services({ sandbox: it }: { sandbox: Sandbox }) {
  const runs = it.state === "started";
  const declared = useQuery(services(it.id));
  const listening = useQuery({ ...ports(it.id), enabled: runs });
  const [adding, setAdding] = useState<number | true | null>(null);
  const rows = rowsOf(declared.data ?? []);
  const known = new Set(rows.map(({ port }) => (port === null ? "" : `${port.port}/${port.protocol}`)));
  const others = unique(runs ? (listening.data ?? []) : []).filter((port) => !OWN.has(port.port) && !known.has(`${port.port}/${port.protocol}`));
  const program = (service: SandboxService) => listening.data?.find((port) => port.port === service.port && port.protocol === service.protocol);
  return (
    <Card
      title="Services and ports"
      flush
      aside={
        runs && (
          <Button size="xs" variant="default" leftSection={<Plus size={14} />} onClick={() => setAdding(true)}>
            Add service
          </Button>
        )
      }
    >
      {declared.error !== null && <Problem error={declared.error} />}
      {rows.length + others.length === 0 && (
        <Empty title={runs ? "Nothing listens" : "No services"}>
          {runs
            ? "What a program in the sandbox listens on appears here by itself. Services are named in .amika/config.toml, in the repository's settings, or added here."
            : "Start the sandbox to see what listens in it."}
        </Empty>
      )}
      {rows.length + others.length > 0 && (
        <table className="rows blocks">
          <thead>
            <tr>
              <th scope="col">Service</th>
              <th scope="col">Port</th>
              <th scope="col">Listens</th>
              <th scope="col" className="end">
                Open
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ service, port, isFirst }) => (
              <tr key={port?.id ?? service.name}>
                <td>
                  <b>{service.name}</b>
                </td>
                <td className="mono">{port === null ? "–" : `${port.port}/${port.protocol}`}</td>
                <td>{!runs ? <span className="dim">–</span> : service.run != null ? <Stands service={service} /> : port !== null && <Listens port={program(port)} />}</td>
                <td className="end">
                  <Group gap={6} justify="flex-end" className="start-narrow">
                    {service.run != null && isFirst && <RunActions sandbox={it} service={service} />}
                    {port !== null && <Reach sandbox={it} service={port} />}
                  </Group>
                </td>
              </tr>
            ))}
            {others.map((port) => (
              <tr key={`${port.port}/${port.protocol}`}>
                <td className="dim">not declared</td>
                <td className="mono">
                  {port.port}/{port.protocol}
                </td>
                <td>
                  <Listens port={port} />
                </td>
                <td className="end">
                  {port.protocol === "tcp" && (
                    <Group gap={8} justify="flex-end" className="start-narrow">
                      <Anchor component="button" size="sm" onClick={() => void openPort(it, port.port)}>
                        Open port {port.port}
                      </Anchor>
                      <Tooltip label="Give it a name">
                        <ActionIcon variant="subtle" color="gray" aria-label={`Add port ${port.port} as a service`} onClick={() => setAdding(port.port)}>
                          <Plus size={15} />
                        </ActionIcon>
                      </Tooltip>
                    </Group>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {adding !== null && <Add sandbox={it} port={adding === true ? null : adding} onClose={() => setAdding(null)} />}
    </Card>
  );
}

interface Row {
  service: StandingService;
  port: SandboxService | null;
  isFirst: boolean;
}

/** One for each port, and one for a service that has none; those of Amika itself are left out. */
function rowsOf(services: StandingService[]): Row[] {
  return services.flatMap((service): Row[] => {
    if (service.ports.length === 0) return [{ service, port: null, isFirst: true }];
    const own = service.ports.filter((port) => port.kind === "user");
    return own.map((port, index) => ({ service, port, isFirst: index === 0 }));
  });
}

/** One for a port that is listened on by both families. */
function unique(all: ListeningPort[]): ListeningPort[] {
  const found = new Map<string, ListeningPort>();
  for (const port of all) {
    const key = `${port.port}/${port.protocol}`;
    const before = found.get(key);
    if (!before || (before.loopback_only && !port.loopback_only)) found.set(key, port);
  }
  return [...found.values()];
}

function Listens({ port }: { port: ListeningPort | undefined }) {
  if (!port) return <span className="dim">nothing yet</span>;
  return (
    <Group gap={6}>
      <span>{port.program ?? "a program"}</span>
      {port.loopback_only && (
        <Tooltip label="It listens on the sandbox's loopback: it is reached through this server alone, not by a published port.">
          <Badge variant="outline" color="gray" size="sm" c="dimmed" bd="1px solid var(--amika-line)" tt="none" tabIndex={0}>
            loopback only
          </Badge>
        </Tooltip>
      )}
    </Group>
  );
}

function Reach({ sandbox: it, service }: { sandbox: Sandbox; service: SandboxService }) {
  const isWeb = service.protocol === "tcp" && service.url_scheme !== null;
  const remove = async () => {
    try {
      const params = { path: { ref: it.id, service: service.id }, query: { by: "id" as const } };
      await ask(api.DELETE("/api/v0beta1/sandboxes/{ref}/services/{service}", { params }));
      await client.invalidateQueries({ queryKey: ["services", it.id] });
    } catch (error) {
      failed(`${service.name} was not removed`, error);
    }
  };
  return (
    <Group gap={6} justify="flex-end" className="start-narrow">
      {it.state === "started" && service.protocol === "tcp" && (
        <Anchor component="button" size="sm" onClick={() => void openPort(it, service.port)}>
          {isWeb ? `Open ${service.name}` : `Open port ${service.port}`}
        </Anchor>
      )}
      {service.host_port != null && service.url !== null && service.url !== "" && service.url !== undefined && <Copy text={service.url} label={`Copy the address of ${service.name}`} />}
      {service.source === "table" && service.host_port == null && (
        <ActionIcon variant="subtle" color="gray" aria-label={`Remove ${service.name}`} onClick={() => void remove()}>
          <Trash2 size={14} />
        </ActionIcon>
      )}
    </Group>
  );
}

function Add({ sandbox: it, port: first, onClose }: { sandbox: Sandbox; port: number | null; onClose: () => void }) {
  const [name, setName] = useState("");
  const [port, setPort] = useState<number | string>(first ?? "");
  const [scheme, setScheme] = useState("http");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const told = error === null ? null : failure(error);
  const submit = async (event: SyntheticEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const body = { name, port: Number(port), url_scheme: scheme === "" ? null : (scheme as "http" | "https") };
      await ask(api.POST("/api/v0beta1/sandboxes/{ref}/services", { params: { path: { ref: it.id } }, body }));
      await client.invalidateQueries({ queryKey: ["services", it.id] });
      onClose();
    } catch (caught) {
      setError(caught);
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={onClose} title="Add a service">
      <form onSubmit={submit} className="stack">
        {told !== null && told.of("/name") === undefined && told.of("/port") === undefined && <Problem error={told} />}
        <TextInput label="Name" description="It is reached through this server, and stays until the sandbox is deleted." value={name} error={told?.of("/name")} onChange={(event) => setName(event.currentTarget.value)} required data-autofocus />
        <NumberInput label="Port" value={port} error={told?.of("/port")} onChange={setPort} min={1} max={65535} hideControls required />
        <NativeSelect
          label="Scheme"
          value={scheme}
          onChange={(event) => setScheme(event.currentTarget.value)}
          data={[
            { value: "http", label: "http" },
            { value: "https", label: "https" },
            { value: "", label: "none: it is no website" },
          ]}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={busy}>
            Add
          </Button>
        </Group>
      </form>
    </Modal>
  );
}
