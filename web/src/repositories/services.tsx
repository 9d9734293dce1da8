/** Services saved for a repository, beside those of its file. */
import { ActionIcon, Alert, Button, Group, Loader, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Pencil, Plus, Trash2 } from "lucide-react";
import { useState } from "react";

import { api, ask } from "../api/client";
import { failure } from "../api/failure";
import { client, fileServices, repositoryServices } from "../api/queries";
import type { Repository, Schemas, ServiceDefinition } from "../api/types";
import { backToFile } from "../lib/file";
import { read, show } from "../lib/ports";
import { Card, Empty } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { FormModal } from "../ui/form-modal";
import { done, failed } from "../ui/notify";
import { Problem } from "../ui/problem";

const again = (id: string) => client.invalidateQueries({ queryKey: ["repositories", id, "services"] });

type Declared = Schemas["DeclaredService"];
type Asks = { kind: "edit"; service: ServiceDefinition | Declared | null } | { kind: "file" } | null;

export function ServicesCard({ repository: it, branch, isAdmin }: { repository: Repository; branch: string; isAdmin: boolean }) {
  const saved = useQuery(repositoryServices(it.id));
  const file = useQuery(fileServices(it.id, branch === "" ? null : branch));
  const [asks, setAsks] = useState<Asks>(null);
  const [busy, setBusy] = useState(false);
  const isSaved = saved.data?.source === "saved";
  const fromFile = async () => {
    setBusy(true);
    try {
      // Those that others wait for come first.
      const known = new Set<string>();
      const left = [...(file.data?.items ?? [])];
      while (left.length > 0) {
        const at = left.findIndex((service) => (service.depends_on ?? []).every((name) => known.has(name)));
        for (const service of left.splice(Math.max(at, 0), 1)) {
          await ask(api.POST("/api/v0beta1/services", { body: { ...service, repo_url: it.repo_url } }));
          known.add(service.name);
        }
      }
      await again(it.id);
      done("The services of the file are saved; change them here");
    } catch (error) {
      failed("The services were not saved", error);
    } finally {
      setBusy(false);
    }
  };
  const remove = async (service: ServiceDefinition) => {
    try {
      await ask(api.DELETE("/api/v0beta1/services/{id}", { params: { path: { id: service.id } } }));
      await again(it.id);
    } catch (error) {
      failed(`${service.name} was not removed`, error);
    }
  };
  const fromTheFile = file.data?.items ?? [];
  return (
    <Card
      title="Services"
      aside={
        isAdmin && (
          <Group gap="xs">
            {isSaved && (
              <Button size="xs" variant="default" onClick={() => setAsks({ kind: "file" })}>
                Back to the file…
              </Button>
            )}
            {!isSaved && fromTheFile.length > 0 && (
              <Button size="xs" variant="default" loading={busy} onClick={() => void fromFile()}>
                Begin with the file's
              </Button>
            )}
            <Button size="xs" variant="default" leftSection={<Plus size={14} />} onClick={() => setAsks({ kind: "edit", service: null })}>
              Add service
            </Button>
          </Group>
        )
      }
    >
      <div className="stack">
        {saved.error !== null && <Problem error={saved.error} />}
        {isSaved && (
          <Alert variant="outline" color="gray" p="xs">
            <Text size="sm">
              What is saved here wins over <b>all</b> services of the file{fromTheFile.length > 0 && `, of which there are ${fromTheFile.length}`}
              {saved.data?.items.length === 0 && ": new sandboxes have no services"}.
            </Text>
          </Alert>
        )}
        <div className="pair">
          <section aria-label="Saved here">
            <Text fw={600} size="sm" mb={6}>
              Saved here
            </Text>
            {saved.data !== undefined && !isSaved && (
              <Text size="sm" c="dimmed">
                Nothing: what the file says holds.
              </Text>
            )}
            {saved.data?.items.map((service) => (
              <Group key={service.id} gap={6} wrap="nowrap" mih={30}>
                <Text size="sm" style={{ flex: 1 }}>
                  <b>{service.name}</b> <span className="mono">{service.image ?? show(service.ports)}</span>
                </Text>
                {isAdmin && (
                  <>
                    <ActionIcon variant="subtle" color="gray" aria-label={`Change ${service.name}`} onClick={() => setAsks({ kind: "edit", service })}>
                      <Pencil size={14} />
                    </ActionIcon>
                    <ActionIcon variant="subtle" color="gray" aria-label={`Remove ${service.name}`} onClick={() => void remove(service)}>
                      <Trash2 size={14} />
                    </ActionIcon>
                  </>
                )}
              </Group>
            ))}
          </section>
          <section aria-label="In the file">
            <Text fw={600} size="sm" mb={6}>
              In .amika/config.toml{file.data?.branch != null && ` of ${file.data.branch}`}
            </Text>
            {file.isPending && <Loader size={14} aria-label="The file is read" />}
            {file.error !== null && (
              <Text size="sm" c="var(--amika-bad)">
                {failure(file.error).message}
              </Text>
            )}
            {file.data !== undefined && !file.data.has_file && (
              <Text size="sm" c="dimmed">
                The branch has no such file.
              </Text>
            )}
            {file.data?.has_file === true && fromTheFile.length === 0 && (
              <Text size="sm" c="dimmed">
                The file names no service.
              </Text>
            )}
            {fromTheFile.map((service) => (
              <Group key={service.name} gap={6} wrap="nowrap" mih={30}>
                <Text size="sm" style={{ flex: 1 }} c={isSaved ? "dimmed" : undefined} td={isSaved ? "line-through" : undefined}>
                  <b>{service.name}</b> <span className="mono">{service.image ?? show(service.ports)}</span>
                </Text>
                {isAdmin && saved.data !== undefined && !isSaved && (
                  <ActionIcon variant="subtle" color="gray" aria-label={`Change ${service.name}`} onClick={() => setAsks({ kind: "edit", service })}>
                    <Pencil size={14} />
                  </ActionIcon>
                )}
              </Group>
            ))}
            {file.data?.warnings.map((warning) => (
              <Text key={warning} size="xs" c="var(--amika-busy)">
                {warning}
              </Text>
            ))}
          </section>
        </div>
        {saved.data !== undefined && isSaved && saved.data.items.length === 0 && <Empty title="No services at all">Add one, or go back to the file.</Empty>}
      </div>
      {asks?.kind === "edit" && <Edit repository={it} service={asks.service} along={isSaved ? [] : fromTheFile.filter((one) => one.name !== asks.service?.name)} onClose={() => setAsks(null)} />}
      {asks?.kind === "file" && (
        <Confirm
          title="Back to the file?"
          action="Back to the file"
          onClose={() => setAsks(null)}
          run={async () => {
            await ask(api.DELETE("/api/v0beta1/repositories/{id}/services", { params: { path: { id: it.id } } }));
            await again(it.id);
          }}
        >
          What is saved here is removed. New sandboxes then have the services of their branch's file:
          <ul aria-label="What that changes" style={{ margin: "6px 0", paddingInlineStart: 20 }}>
            {backToFile(saved.data?.items ?? [], fromTheFile).map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
          Sandboxes that are there stay as they are.
        </Confirm>
      )}
    </Card>
  );
}

/** `along`: those of the file, which are saved with the first one that is saved here. */
function Edit({ repository, service, along, onClose }: { repository: Repository; service: ServiceDefinition | Declared | null; along: Declared[]; onClose: () => void }) {
  const [name, setName] = useState(service?.name ?? "");
  const [text, setText] = useState(service === null ? "" : show(service.ports));
  // A container beside the sandbox publishes nothing.
  const hasPorts = service?.image == null;
  const ports = hasPorts ? read(text) : [];
  const run = async () => {
    if (ports === null) throw new Error("ports cannot be read");
    const save = (body: Declared) => ask(api.POST("/api/v0beta1/services", { body: { repo_url: repository.repo_url, ...body } }));
    if (service !== null && "id" in service) {
      await ask(api.PUT("/api/v0beta1/services/{id}", { params: { path: { id: service.id } }, body: { name, ports } }));
    } else {
      // How one of the file is run stays as the file has it.
      await save({ ...service, name, ports });
      for (const one of along.filter((it) => it.name !== name)) await save(one);
    }
    await again(repository.id);
  };
  return (
    <FormModal title={service === null ? "Add a service" : `Change ${service.name}`} action="Save" onClose={onClose} run={run} fields={["/name", "/ports"]}>
      {(error) => (
        <>
          {along.length > 0 && (
            <Alert variant="outline" color="gray" p="xs">
              <Text size="sm">
                Saved with it, as the file has {along.length === 1 ? "it" : "them"}: {along.map((it) => it.name).join(", ")}. What is saved here wins over all services of the file.
              </Text>
            </Alert>
          )}
          <TextInput label="Name" value={name} error={error("/name")} onChange={(event) => setName(event.currentTarget.value)} required data-autofocus />
          {hasPorts ? (
            <TextInput
              label="Ports"
              description="As http 3000, https 8443, 5432 or 53/udp; with commas between. With http or https it has a link."
              value={text}
              error={ports === null ? "Such as http 3000, 5432" : error("/ports")}
              onChange={(event) => setText(event.currentTarget.value)}
              required
            />
          ) : (
            <Text size="sm" c="dimmed">
              A container of image <span className="mono">{service.image}</span> beside each sandbox.
            </Text>
          )}
        </>
      )}
    </FormModal>
  );
}
