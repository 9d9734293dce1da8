/** A service that Amika runs: how it stands, what can be asked of it, what it writes. */
import { ActionIcon, Badge, Group, Tooltip } from "@mantine/core";
import { Play, RotateCw, ScrollText, Square } from "lucide-react";
import { useState } from "react";

import { api, ask } from "../../api/client";
import { client } from "../../api/queries";
import type { Sandbox, StandingService } from "../../api/types";
import { failed } from "../../ui/notify";
import { LogModal } from "./log-modal";

type Verb = "start" | "stop" | "restart";

const AT = "/api/v0beta1/sandboxes/{ref}/services/{service}";

async function change(it: Sandbox, service: string, verb: Verb) {
  const params = { params: { path: { ref: it.id, service } } };
  try {
    await ask(verb === "start" ? api.POST(`${AT}/start`, params) : verb === "stop" ? api.POST(`${AT}/stop`, params) : api.POST(`${AT}/restart`, params));
  } catch (error) {
    failed(`${service} was not asked to ${verb}`, error);
  }
  await client.invalidateQueries({ queryKey: ["services", it.id] });
}

const COLORS: Record<string, string> = { ready: "green", starting: "yellow", backoff: "yellow", failed: "red" };

export function Stands({ service }: { service: StandingService }) {
  const state = service.run?.state ?? "";
  return (
    <Badge variant="light" color={COLORS[state] ?? "gray"} size="sm" tt="none">
      {service.state ?? "unknown"}
    </Badge>
  );
}

export function RunActions({ sandbox: it, service }: { sandbox: Sandbox; service: StandingService }) {
  const [reads, setReads] = useState(false);
  const name = service.name;
  const rests = ["off", "stopped", "failed"].includes(service.run?.state ?? "");
  const button = (label: string, icon: React.ReactNode, onClick: () => void) => (
    <Tooltip label={label}>
      <ActionIcon variant="subtle" color="gray" aria-label={`${label} ${name}`} onClick={onClick}>
        {icon}
      </ActionIcon>
    </Tooltip>
  );
  return (
    <Group gap={2} wrap="nowrap">
      {it.state === "started" && rests && button("Start", <Play size={14} />, () => void change(it, name, "start"))}
      {it.state === "started" && !rests && button("Stop", <Square size={13} />, () => void change(it, name, "stop"))}
      {it.state === "started" && !rests && button("Restart", <RotateCw size={14} />, () => void change(it, name, "restart"))}
      {button("Log of", <ScrollText size={14} />, () => setReads(true))}
      {reads && <LogModal sandbox={it} source={`service:${name}`} title={`Log of ${name}`} onClose={() => setReads(false)} />}
    </Group>
  );
}
